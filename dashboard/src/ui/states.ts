/**
 * What each state looks like. Colours alone say nothing: every badge has its word, and a sign before it.
 * The words stand in i18n `states`.
 */
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

/** What `StateBadge` and `StateStory` tell of a command, deployment or job. */
export function standingOf(work: {
  status: string;
  reason: string;
  message: string;
  status_since: string | null;
  next: string;
  deadline_at: string | null;
}) {
  return {
    state: work.status,
    cause: work.reason,
    message: work.message,
    since: work.status_since,
    next: work.next,
    deadline: work.deadline_at,
  };
}
