/** What a selector means now. An empty one means nothing, as everywhere in MyX. */
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, queryOptions, useQuery } from '@tanstack/react-query';
import { ApiError, request } from '@/api/client';
import { useMay } from '@/api/session';
import type { JobPreview, ServerCounts } from '@/api/types';

const WAIT_MS = 250;
const AGAIN_MS = 10_000;

const rules = { retry: false, staleTime: 5000, refetchInterval: AGAIN_MS, placeholderData: keepPreviousData };

const targetsOf = (selector: string) =>
  queryOptions({
    ...rules,
    queryKey: ['matches', 'targets', selector],
    queryFn: ({ signal }) => request<JobPreview>('POST', '/jobs/preview', { body: { selector }, signal }),
  });

const countsOf = (selector: string) =>
  queryOptions({
    ...rules,
    queryKey: ['matches', 'counts', selector],
    queryFn: ({ signal }) => request<ServerCounts>('GET', '/server-counts', { query: { selector }, signal }),
  });

export interface Matches {
  /** Null while it is not known. */
  servers: number | null;
  error: ApiError | null;
}

/** How many servers: of those that one sees or, with `toRun`, of those that one may run work on. */
export function useMatches(selector: string, toRun: boolean): Matches {
  const runs = useMay('operator') && toRun;
  const [settled] = useDebouncedValue(selector.trim(), WAIT_MS);
  const targets = useQuery({ ...targetsOf(settled), enabled: runs && settled !== '' });
  const counts = useQuery({ ...countsOf(settled), enabled: !runs && settled !== '' });
  const error = runs ? targets.error : counts.error;
  const failed = error instanceof ApiError ? error : null;
  if (failed?.reason === 'SELECTOR_MATCHES_NOTHING') return { servers: 0, error: null };
  const servers = runs ? targets.data?.targets.length : counts.data?.total;
  return { servers: failed ? null : (servers ?? null), error: failed };
}

/** The servers on which work would run. */
export function useTargets(selector: string): JobPreview['targets'] {
  const [settled] = useDebouncedValue(selector.trim(), WAIT_MS);
  const { data, error } = useQuery({ ...targetsOf(settled), enabled: settled !== '' });
  return settled === '' || error ? [] : (data?.targets ?? []);
}
