import { Group, Progress, UnstyledButton } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { count } from '@/ui/format';
import { SIGNS, type Tone, toneOf } from '@/ui/states';
import classes from './JobPage.module.css';

/** In the order in which a target goes through them. */
export const TARGET_STATES = [
  'success',
  'failed',
  'timeout',
  'unreachable',
  'lost',
  'unknown',
  'cancelled',
  'skipped',
  'not_started',
  'running',
  'waiting',
] as const;

const COLOURS: Record<Tone, string> = {
  good: 'green.7',
  bad: 'red.7',
  busy: 'blue.6',
  waiting: 'gray.5',
  doubt: 'orange.6',
  neutral: 'gray.6',
};

type Counts = Partial<Record<string, number>>;

export function endedOf(counts: Counts, total: number): number {
  return total - (counts.waiting ?? 0) - (counts.running ?? 0);
}

/** How far a job is, a part of the bar for each state. */
export function JobProgress({ counts, total }: { counts: Counts; total: number }) {
  const { t } = useTranslation('work');
  const ended = endedOf(counts, total);
  return (
    <Progress.Root size="lg" role="img" aria-label={t('job.ended_of', { ended, total })}>
      {TARGET_STATES.filter((status) => status !== 'waiting' && (counts[status] ?? 0) > 0).map((status) => (
        <Progress.Section
          key={status}
          value={((counts[status] ?? 0) / Math.max(1, total)) * 100}
          color={COLOURS[toneOf(status)]}
          aria-hidden="true"
        />
      ))}
    </Progress.Root>
  );
}

interface ChipsProps {
  counts: Counts;
  chosen: ReadonlySet<string>;
  onChoose: (chosen: ReadonlySet<string>) => void;
}

/** The number of targets in each state; one pressed shows only those. */
export function StateChips({ counts, chosen, onChoose }: ChipsProps) {
  const { t, i18n } = useTranslation('work');
  const toggle = (status: string) => {
    const next = new Set(chosen);
    if (!next.delete(status)) next.add(status);
    onChoose(next);
  };
  return (
    <Group gap={6} role="group" aria-label={t('job.by_state')}>
      {TARGET_STATES.filter((status) => (counts[status] ?? 0) > 0 || chosen.has(status)).map((status) => (
        <UnstyledButton
          key={status}
          className={classes.chip}
          data-tone={toneOf(status)}
          data-state={status}
          aria-pressed={chosen.has(status)}
          onClick={() => toggle(status)}
        >
          <span aria-hidden="true">{SIGNS[toneOf(status)]}</span> {t(`states:name.${status}`, { defaultValue: status })}{' '}
          <b>{count(counts[status] ?? 0, i18n.language)}</b>
        </UnstyledButton>
      ))}
    </Group>
  );
}
