import { QueryClient, QueryObserver } from '@tanstack/react-query';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Refresher } from './refresher';

const readOne = vi.hoisted(() => vi.fn());
vi.mock('./client', () => ({ request: readOne }));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  readOne.mockReset();
});

const servers = (length: number) => Array.from({ length }, (_, n) => ({ id: `s${n}`, name: `host-${n}` }));
const change = (id: string) => ({ type: 'agent.offline', server_id: id });

/** A page that shows a list whose reading takes `seconds`; how often it was begun, and ended. */
function shown(queries: QueryClient, length: number, seconds: number) {
  const seen = { begun: 0, ended: 0 };
  const observer = new QueryObserver(queries, {
    queryKey: ['servers', 'list', ''],
    queryFn: async ({ signal }) => {
      seen.begun += 1;
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      if (!signal.aborted) seen.ended += 1;
      return servers(length);
    },
  });
  observer.subscribe(() => undefined);
  return seen;
}

describe('Refresher', () => {
  it('lets a long list be read to its end while the whole fleet moves, and then seldom', async () => {
    const queries = new QueryClient();
    const refresher = new Refresher(queries);
    const seen = shown(queries, 10_000, 3);
    for (let second = 0; second < 60; second += 1) {
      for (let n = 0; n < 20; n += 1) refresher.take(change(`s${20 * second + n}`));
      await vi.advanceTimersByTimeAsync(1000);
    }
    expect(seen.begun - seen.ended).toBeLessThanOrEqual(1);
    expect(seen.ended).toBeGreaterThanOrEqual(4);
    expect(seen.ended).toBeLessThanOrEqual(7);
    await vi.advanceTimersByTimeAsync(60_000);
    const { ended } = seen;
    await vi.advanceTimersByTimeAsync(600_000);
    expect([seen.begun, seen.ended]).toEqual([ended, ended]);
    refresher.stop();
  });

  it('puts a single change into a long list and reads a short one anew', async () => {
    const queries = new QueryClient();
    const refresher = new Refresher(queries);
    readOne.mockResolvedValue({ id: 's7', name: 'renamed' });
    const long = shown(queries, 600, 0);
    await vi.advanceTimersByTimeAsync(10);
    refresher.take(change('s7'));
    await vi.advanceTimersByTimeAsync(2000);
    expect(long.begun).toBe(1);
    expect(queries.getQueryData<{ name: string }[]>(['servers', 'list', ''])?.[7]?.name).toBe('renamed');
    refresher.stop();

    const small = new QueryClient();
    const short = shown(small, 3, 0);
    await vi.advanceTimersByTimeAsync(10);
    new Refresher(small).take(change('s1'));
    await vi.advanceTimersByTimeAsync(2000);
    expect(short.begun).toBe(2);
  });

  it('reads a list once more when a server changed while it was being read', async () => {
    const queries = new QueryClient();
    const refresher = new Refresher(queries);
    readOne.mockResolvedValue({ id: 's7', name: 'renamed' });
    const seen = shown(queries, 600, 5);
    await vi.advanceTimersByTimeAsync(1000);
    refresher.take(change('s7'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect([seen.begun, seen.ended]).toEqual([2, 2]);
    refresher.stop();
  });
});
