import { Popover, Stack, Text, UnstyledButton, useDelayedHover } from '@mantine/core';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useCauses } from './causes';
import classes from './StateBadge.module.css';
import { type Next, SIGNS, toneOf } from './states';
import { Time } from './Time';

export interface StateBadgeProps {
  state: string;
  /** A stable name (`refused`, `agent_offline`), said in the person's language where there is a text for it. */
  cause?: string | null;
  /** What the service says about it; data, shown as it is. */
  message?: string | null;
  since?: string | null;
  next?: Next;
  deadline?: string | null;
  /** Without the card: where its story stands beside it. */
  plain?: boolean;
}

/** A state that explains itself: cause, since when, and what happens next. */
export function StateBadge(props: StateBadgeProps) {
  const { t } = useTranslation('states');
  const tone = toneOf(props.state);
  const word = t(`name.${props.state}`, { defaultValue: props.state });
  const badge = (
    <span className={classes.badge} data-tone={tone} data-state={props.state}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {word}
    </span>
  );
  const meaning = t(`meaning.${props.state}`, { defaultValue: '' });
  const told = Boolean(props.cause || props.message || props.since || props.next || meaning);
  if (props.plain || !told) return badge;
  return (
    <Explained word={word} story={props}>
      {badge}
    </Explained>
  );
}

interface ExplainedProps {
  word: string;
  story: StateBadgeProps;
  children: React.ReactNode;
}

/** The badge with its card. The card is made when it is wanted: tables have hundreds of badges. */
function Explained({ word, story, children }: ExplainedProps) {
  const { t } = useTranslation('states');
  const id = useId();
  const [isOpen, setOpen] = useState(false);
  const { openDropdown, closeDropdown } = useDelayedHover({
    open: () => setOpen(true),
    close: () => setOpen(false),
    openDelay: 120,
    closeDelay: 150,
  });
  return (
    <UnstyledButton
      className={classes.target}
      aria-label={t('explain', { state: word })}
      aria-describedby={isOpen ? id : undefined}
      onMouseEnter={openDropdown}
      onMouseLeave={closeDropdown}
      onFocus={openDropdown}
      onBlur={closeDropdown}
      onKeyDown={(event) => event.key === 'Escape' && setOpen(false)}
    >
      {children}
      {isOpen && (
        <Popover opened width={340} shadow="md" position="bottom-start" withRoles={false}>
          <Popover.Target>
            <span className={classes.anchor} />
          </Popover.Target>
          <Popover.Dropdown id={id} role="tooltip">
            <StateStory {...story} />
          </Popover.Dropdown>
        </Popover>
      )}
    </UnstyledButton>
  );
}

/** The same as a block of text, for pages about one thing. */
export function StateStory({ state, cause, message, since, next, deadline }: StateBadgeProps) {
  const { t } = useTranslation('states');
  const causeOf = useCauses();
  const meaning = t(`meaning.${state}`, { defaultValue: '' });
  return (
    <Stack gap={4} className={classes.story}>
      {meaning && <Text size="sm">{meaning}</Text>}
      {cause && (
        <Text size="sm">
          <b>{t('cause')}</b> {causeOf(cause)}
        </Text>
      )}
      {message && (
        <Text size="sm" c="dimmed" className={classes.data}>
          {message}
        </Text>
      )}
      {since && (
        <Text size="sm">
          <b>{t('since')}</b> <Time at={since} />
        </Text>
      )}
      {next && (
        <Text size="sm" data-testid="next">
          <b>{t('next')}</b> {t(next.key, next.values)}
          {next.said && (
            <Text span size="sm" c="dimmed" display="block">
              {next.said}
            </Text>
          )}
        </Text>
      )}
      {deadline && (
        <Text size="sm">
          <b>{t('deadline')}</b> <Time at={deadline} />
        </Text>
      )}
    </Stack>
  );
}
