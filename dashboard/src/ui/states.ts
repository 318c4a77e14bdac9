/**
 * What each state looks like. Colours alone say nothing: every badge has its word, and a sign before it.
 * The words stand in i18n `states`.
 */
import type { Command, Deployment, Job } from '@/api/types';

export type Tone = 'good' | 'bad' | 'busy' | 'waiting' | 'doubt' | 'neutral';

const TONES: Record<string, Tone> = {
  // agents
  online: 'good',
  offline: 'bad',
  pending: 'waiting',
  none: 'neutral',
  no_agent: 'neutral',
  flapping: 'doubt',
  quarantined: 'bad',
  paused: 'neutral',
  maintenance: 'busy',
  rotating: 'busy',
  // work
  queued: 'waiting',
  waiting: 'waiting',
  running: 'busy',
  cancelling: 'busy',
  stopping: 'busy',
  success: 'good',
  partial: 'doubt',
  failed: 'bad',
  unreachable: 'bad',
  timeout: 'bad',
  cancelled: 'neutral',
  stopped: 'bad',
  lost: 'doubt',
  unknown: 'doubt',
  skipped: 'neutral',
  not_started: 'neutral',
  changed: 'waiting',
  unchanged: 'good',
  started: 'good',
  missed: 'doubt',
  denied: 'bad',
  // logs
  open: 'busy',
  complete: 'good',
  incomplete: 'bad',
  unverified: 'doubt',
  // services, accounts
  ok: 'good',
  unavailable: 'bad',
  enabled: 'good',
  disabled: 'neutral',
  expired: 'bad',
  active: 'good',
  current: 'good',
};

export function toneOf(state: string): Tone {
  return TONES[state] ?? 'neutral';
}

export const SIGNS: Record<Tone, string> = {
  good: '●',
  bad: '▲',
  busy: '◐',
  waiting: '○',
  doubt: '◆',
  neutral: '–',
};

const FINAL = new Set([
  'success',
  'partial',
  'failed',
  'timeout',
  'cancelled',
  'lost',
  'unknown',
  'skipped',
  'stopped',
]);

/** Whether work in this state is over. */
export function isFinal(status: string): boolean {
  return FINAL.has(status);
}

/** What happens next: a text of i18n `states` with what it needs, and what the service says where it knows more. */
export interface Next {
  key: string;
  values: Record<string, string | number>;
  said?: string;
}

/** What happens next to a command, deployment or job; undefined once it is final. */
export function nextOf(work: Command | Deployment | Job): Next | undefined {
  const { status } = work;
  if (isFinal(status)) return undefined;
  if (!('counts' in work)) return { key: `next_of.${status}`, values: { context: work.reason } };
  const { batch, batch_count } = work;
  const [running, waiting] = [work.counts.running ?? 0, work.counts.waiting ?? 0];
  // Between two batches; when it goes on is in the service's sentence only.
  if (status === 'running' && running === 0 && waiting > 0)
    return { key: 'next_of_job.between', values: { batch, batch_count, waiting }, said: work.next };
  return { key: `next_of_job.${status}`, values: { running, waiting, batch, batch_count } };
}

/** What `StateBadge` and `StateStory` tell of a command, deployment or job. */
export function standingOf(work: Command | Deployment | Job) {
  return {
    state: work.status,
    cause: work.reason,
    message: work.message,
    since: work.status_since,
    next: nextOf(work),
    deadline: work.deadline_at,
  };
}
