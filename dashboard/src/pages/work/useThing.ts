import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useCallback } from 'react';
import { request } from '@/api/client';
import { usePolling } from '@/api/live';
import { isFinal } from '@/ui/states';

interface Thing {
  status: string;
}

const SLOW_S = 60;

export interface Known<T> {
  thing: T | undefined;
  error: unknown;
  again: () => void;
  /** Take in what a call or a stream said. */
  take: (thing: T) => void;
}

/** A command or deployment as it is now; asked for again and again until it is final. */
export function useThing<T extends Thing>(noun: 'commands' | 'deployments', id: string): Known<T> {
  const queries = useQueryClient();
  const live = usePolling(1);
  const query = useQuery({
    queryKey: [noun, 'one', id],
    queryFn: ({ signal }) => request<T>('GET', `/${noun}/${encodeURIComponent(id)}`, { signal }),
    // Live events tell of a command's end and not of each of its steps.
    refetchInterval: ({ state }) => (state.data && isFinal(state.data.status) ? SLOW_S * 1000 : Math.min(live, 2000)),
  });
  const take = useCallback((thing: T) => queries.setQueryData([noun, 'one', id], thing), [queries, noun, id]);
  return { thing: query.data, error: query.error, again: () => void query.refetch(), take };
}
