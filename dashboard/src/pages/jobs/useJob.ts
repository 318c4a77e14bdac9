import { useEffect, useRef, useState } from 'react';
import type { Job, JobTarget } from '@/api/types';
import { followJob } from '@/streams/job';
import type { ResumableSocket, StreamState } from '@/streams/socket';
import { soonOfBrowser } from '@/terminal/soon';
import { Targets } from './targets';

export interface LiveJob {
  job: Job | null;
  targets: Targets;
  stream: StreamState;
  hurry: () => void;
  /** Take in what a call answered, without waiting for the stream. */
  take: (job: Job) => void;
}

interface Shown {
  job: Job | null;
  stream: StreamState;
  version: number;
}

const START: Shown = { job: null, stream: { kind: 'connecting' }, version: 0 };

/** A job and its targets, live. What comes between two animation frames is shown at once. */
export function useJob(id: string): LiveJob {
  const targets = useRef(new Targets());
  const latest = useRef(START);
  const socket = useRef<ResumableSocket | null>(null);
  const plan = useRef<(() => void) | null>(null);
  const [shown, setShown] = useState(START);

  const change = useRef((part: Partial<Shown>) => {
    latest.current = { ...latest.current, ...part, version: targets.current.version };
    plan.current ??= soonOfBrowser(() => {
      plan.current = null;
      setShown(latest.current);
    });
  });

  useEffect(() => {
    targets.current = new Targets();
    latest.current = START;
    const followed = followJob<Job, JobTarget>(
      id,
      {
        targets: (some) => {
          targets.current.apply(some);
          change.current({});
        },
        job: (job) => change.current({ job }),
      },
      (stream) => change.current({ stream }),
    );
    socket.current = followed;
    return () => {
      followed.close();
      plan.current?.();
      plan.current = null;
    };
  }, [id]);

  return {
    job: shown.job,
    targets: targets.current,
    stream: shown.stream,
    hurry: () => socket.current?.hurry(),
    take: (job) => {
      if (job.revision >= (latest.current.job?.revision ?? 0)) change.current({ job });
    },
  };
}
