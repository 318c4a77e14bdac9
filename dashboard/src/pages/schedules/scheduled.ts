/** What a schedule starts, in a few words. */
import type { components } from '@/api/schema';
import type { Schedule } from '@/api/types';
import { type AnyWork, type Say, titleOf } from '../work/describe';

type Work = Schedule['work'];
export type Fire = components['schemas']['ScheduleFire'];

/** The command or deployment itself, whether for one server or a job. */
export function contentOf(work: Work): AnyWork {
  if (work.job) return work.job.work;
  return { command: work.command, deployment: work.deployment };
}

export function scheduledTitle(t: Say, work: Work): string {
  return work.job?.name || titleOf(t, contentOf(work));
}

export function scheduledPlace(work: Work): string {
  if (work.job) return work.job.selector || work.job.servers.join(', ');
  return work.command?.server ?? work.deployment?.server ?? '';
}

/** What the badge of one of its times tells. */
export function outcomeOf(fire: Fire) {
  return { state: fire.outcome, cause: fire.reason, message: fire.message, since: fire.slot_at };
}
