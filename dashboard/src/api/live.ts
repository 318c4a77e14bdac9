/**
 * Fleet events keep what is on the screen fresh. What was missed while there was no stream is read anew; while events
 * cannot be had at all, pages ask by themselves now and then (`useLive`).
 */
import type { QueryClient } from '@tanstack/react-query';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import { type FleetEvent, followEvents } from '@/streams/events';
import { request } from './client';
import type { Server } from './types';

const FLUSH_MS = 1000;
/** More changed servers than this in one go: the lists are read anew instead. */
const FEW = 15;

/** The nouns whose queries an event makes old. */
export function nounsOf(type: string): string[] {
  const noun = type.split('.')[0] ?? '';
  // Not a fact of the fleet, but where the stream begins.
  if (type === 'start') return [];
  if (noun === 'agent' || noun === 'server') return ['servers', 'status'];
  return noun === '' ? [] : [`${noun}s`];
}

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

class Refresher {
  private readonly nouns = new Set<string>();
  private readonly servers = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly queries: QueryClient;

  constructor(queries: QueryClient) {
    this.queries = queries;
  }

  take(event: FleetEvent): void {
    const nouns = nounsOf(event.type);
    for (const noun of nouns) this.nouns.add(noun);
    if (event.server_id && nouns.includes('servers')) this.servers.add(event.server_id);
    if (nouns.length === 0) return;
    this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  private flush(): void {
    this.timer = undefined;
    const [nouns, ids] = [[...this.nouns], [...this.servers]];
    this.nouns.clear();
    this.servers.clear();
    for (const noun of nouns) {
      if (noun !== 'servers') void this.queries.invalidateQueries({ queryKey: [noun] });
    }
    if (!nouns.includes('servers')) return;
    const single = ids.length > 0 && ids.length <= FEW;
    void this.queries.invalidateQueries({
      queryKey: ['servers'],
      predicate: (query) => !(single && query.queryKey[1] === 'list' && isLong(query.state.data)),
    });
    if (single) for (const id of ids) void patch(this.queries, id);
  }
}

const LONG = 500;

function isLong(data: unknown): boolean {
  return Array.isArray(data) && data.length > LONG;
}

/** Put one server's new state into the long lists: reading ten thousand because of one would be a waste. */
async function patch(queries: QueryClient, id: string): Promise<void> {
  const lists = queries.getQueriesData<Server[]>({ queryKey: ['servers', 'list'] }).filter(([, data]) => isLong(data));
  if (lists.length === 0) return;
  try {
    const server = await request<Server>('GET', `/servers/${encodeURIComponent(id)}`);
    for (const [key] of lists) {
      queries.setQueryData<Server[]>(key, (before) => before?.map((one) => (one.id === id ? server : one)));
    }
  } catch {
    // Gone, or not to be seen any more: the next reading of the list says so.
  }
}

/** Holds the stream of events open for as long as the page is. */
export function useLiveEvents(): void {
  const queries = useQueryClient();
  useEffect(() => {
    const refresher = new Refresher(queries);
    const sink = {
      event: (event: FleetEvent) => refresher.take(event),
      gap: () => void queries.invalidateQueries(),
    };
    const stream = followEvents({}, sink, (state) => setLive(state.kind === 'live'));
    return () => {
      stream.close();
      refresher.stop();
      setLive(false);
    };
  }, [queries]);
}
