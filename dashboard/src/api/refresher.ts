/** Reads anew what fleet events make old, and never more than a large fleet can bear. */
import type { Query, QueryClient } from '@tanstack/react-query';
import type { FleetEvent } from '@/streams/events';
import { request } from './client';
import type { Server } from './types';

const FLUSH_MS = 1000;
/** More changed servers than this in one go: the lists are read anew instead. */
const FEW = 15;
/** A list of more servers than this is long: one server's change is put into it. */
const LONG = 500;
/** Between two readings of long lists. */
const LONG_PAUSE_MS = 10_000;

/** The nouns whose queries an event makes old. */
export function nounsOf(type: string): string[] {
  const noun = type.split('.')[0] ?? '';
  // Not a fact of the fleet, but where the stream begins.
  if (type === 'start') return [];
  if (noun === 'agent' || noun === 'server') return ['servers', 'status'];
  return noun === '' ? [] : [`${noun}s`];
}

export class Refresher {
  private readonly nouns = new Set<string>();
  private readonly servers = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private longTimer: ReturnType<typeof setTimeout> | undefined;
  private longAt = Number.NEGATIVE_INFINITY;
  private readonly queries: QueryClient;

  constructor(queries: QueryClient) {
    this.queries = queries;
  }

  readonly take = (event: Pick<FleetEvent, 'type' | 'server_id'>): void => {
    const nouns = nounsOf(event.type);
    for (const noun of nouns) this.nouns.add(noun);
    if (event.server_id && nouns.includes('servers')) this.servers.add(event.server_id);
    if (nouns.length === 0) return;
    this.timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  };

  stop(): void {
    clearTimeout(this.timer);
    clearTimeout(this.longTimer);
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
    void this.queries.invalidateQueries({ queryKey: ['servers'], predicate: (query) => !isLongList(query) });
    if (ids.length > 0 && ids.length <= FEW) for (const id of ids) void this.patch(id);
    else this.readLongLists();
  }

  /** Once, when the last reading is over and some time ago: a fleet in motion would begin one anew each second. */
  private readLongLists(): void {
    if (this.longTimer !== undefined || this.longLists().length === 0) return;
    const wait = Math.max(0, this.longAt + LONG_PAUSE_MS - Date.now());
    this.longTimer = setTimeout(() => {
      this.longTimer = undefined;
      if (this.isReadingLongLists()) {
        this.longAt = Date.now();
        this.readLongLists();
        return;
      }
      void this.queries
        .invalidateQueries({ queryKey: ['servers', 'list'], predicate: isLongList })
        .finally(() => (this.longAt = Date.now()));
      this.longAt = Date.now();
    }, wait);
  }

  private isReadingLongLists(): boolean {
    return this.longLists().some((query) => query.state.fetchStatus === 'fetching');
  }

  private longLists(): Query[] {
    return this.queries.getQueryCache().findAll({ queryKey: ['servers', 'list'], predicate: isLongList });
  }

  /** Put one server's new state into the long lists: reading ten thousand because of one would be a waste. */
  private async patch(id: string): Promise<void> {
    const lists = this.longLists();
    if (lists.length === 0) return;
    // What is being read now may hold the state from before.
    if (this.isReadingLongLists()) this.readLongLists();
    try {
      const server = await request<Server>('GET', `/servers/${encodeURIComponent(id)}`);
      for (const { queryKey } of lists) {
        this.queries.setQueryData<Server[]>(queryKey, (before) => before?.map((one) => (one.id === id ? server : one)));
      }
    } catch {
      // Gone, or not to be seen any more: the next reading of the list says so.
    }
  }
}

/** A list that is being read for the first time may be long: it must not begin anew before it was ever there. */
function isLongList(query: Query): boolean {
  const { data, fetchStatus } = query.state;
  if (query.queryKey[1] !== 'list') return false;
  return Array.isArray(data) ? data.length > LONG : fetchStatus === 'fetching';
}
