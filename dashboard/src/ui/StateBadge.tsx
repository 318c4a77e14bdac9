import { HoverCard, Stack, Text, UnstyledButton } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import classes from './StateBadge.module.css';
import { SIGNS, toneOf } from './states';
import { Time } from './Time';

export interface StateBadgeProps {
  state: string;
  /** A stable name (`refused`, `agent_offline`), said in the person's language where there is a text for it. */
  cause?: string | null;
  /** What the service says about it; data, shown as it is. */
  message?: string | null;
  since?: string | null;
  /** What happens next: a sentence of the service. */
  next?: string | null;
  deadline?: string | null;
  /** Without the card: in tables of thousands of rows, where the row leads to the whole story. */
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
    <HoverCard width={340} shadow="md" withinPortal openDelay={120} position="bottom-start">
      <HoverCard.Target>
        <UnstyledButton className={classes.target} aria-label={t('explain', { state: word })}>
          {badge}
        </UnstyledButton>
      </HoverCard.Target>
      <HoverCard.Dropdown>
        <StateStory {...props} />
      </HoverCard.Dropdown>
    </HoverCard>
  );
}

/** The same as a block of text, for pages about one thing. */
export function StateStory({ state, cause, message, since, next, deadline }: StateBadgeProps) {
  const { t } = useTranslation('states');
  const meaning = t(`meaning.${state}`, { defaultValue: '' });
  return (
    <Stack gap={4} className={classes.story}>
      {meaning && <Text size="sm">{meaning}</Text>}
      {cause && (
        <Text size="sm">
          <b>{t('cause')}</b> {t(`cause_of.${cause.toLowerCase()}`, { defaultValue: cause })}
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
        <Text size="sm">
          <b>{t('next')}</b> {next}
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
