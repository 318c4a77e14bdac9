// A job and its targets as they change.

import { type Feed, ResumableSocket, type StreamState, socketUrl, type Surroundings, verdictOf } from './socket';

const FINAL = new Set(['success', 'partial', 'failed', 'stopped', 'cancelled']);

/** Whether nothing more becomes of a job. */
export function isFinalJob(status: string): boolean {
  return FINAL.has(status);
}

/** Where the steps of a job go. Targets may be told again, or late: `revision` says which word is newer. */
export interface JobSink<Job, Target> {
  targets(targets: Target[]): void;
  job(job: Job): void;
}

interface Revised {
  revision: number;
}

type Stated = Revised & { status: string };

class JobFeed<Job extends Stated, Target extends Revised> implements Feed {
  private over = false;
  private revision = 0;

  constructor(
    private readonly id: string,
    private readonly sink: JobSink<Job, Target>,
  ) {}

  url(): string {
    return socketUrl(`/jobs/${encodeURIComponent(this.id)}/stream`, { after_revision: this.revision });
  }

  text(message: unknown): void {
    const told = message as { type: string; targets: Target[]; job: Job };
    if (told.type === 'targets') this.sink.targets(told.targets);
    else if (told.type === 'job') this.job(told.job);
  }

  isOver(): boolean {
    return this.over;
  }

  verdict() {
    return verdictOf(`/jobs/${encodeURIComponent(this.id)}`);
  }

  private job(job: Job): void {
    this.revision = Math.max(this.revision, job.revision);
    this.over = isFinalJob(job.status);
    this.sink.job(job);
  }
}

/** Follow a job until its end, or until the answer is closed. */
export function followJob<Job extends Stated, Target extends Revised>(
  id: string,
  sink: JobSink<Job, Target>,
  onState: (state: StreamState) => void,
  around?: Surroundings,
): ResumableSocket {
  return new ResumableSocket(new JobFeed(id, sink), onState, around);
}
