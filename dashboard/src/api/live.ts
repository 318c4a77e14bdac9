/**
 * Fleet events keep what is on the screen fresh. What was missed while there was no stream is read anew; while events
 * cannot be had at all, pages ask by themselves now and then (`useLive`).
 */
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import { followEvents } from '@/streams/events';
import { POLICY } from '@/streams/socket';
import { Refresher } from './refresher';
import { sessionQuery } from './session';

let live = false;
const listeners = new Set<() => void>();

function setLive(value: boolean): void {
  if (live === value) return;
  live = value;
  for (const listener of listeners) listener();
}

/** Whether events arrive; otherwise a page has to ask. */
export function useLive(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => live,
  );
}

/** How often to ask: seldom while events arrive. */
export function usePolling(seconds: number): number {
  return useLive() ? seconds * 6000 : seconds * 1000;
}

/** Holds the stream of events open for as long as the page is. */
export function useLiveEvents(): void {
  const queries = useQueryClient();
  useEffect(() => {
    const refresher = new Refresher(queries);
    const sink = {
      event: refresher.take,
      gap: () => void queries.invalidateQueries(),
    };
    const stream = followEvents({}, sink, (state) => {
      setLive(state.kind === 'live');
      // Shut by the gateway: the session has ended, and the cookie may be another one's now.
      if (state.kind === 'waiting' && state.code === POLICY) void queries.invalidateQueries({ queryKey: sessionQuery.queryKey });
    });
    return () => {
      stream.close();
      refresher.stop();
      setLive(false);
    };
  }, [queries]);
}
