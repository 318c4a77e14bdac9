import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './client';
import { connection } from './connection';

const TRIES = 3;

/** Worth asking again: what the network or a restarting gateway said, and nothing that the application decided. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 0 || error.status >= 502);
}

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      networkMode: 'always',
      staleTime: 5000,
      refetchOnWindowFocus: true,
      retry: (failures, error) => failures < TRIES && isPassing(error),
    },
    mutations: { networkMode: 'always', retry: false },
  },
});

// Back again: whatever is on the screen may be old.
connection.subscribe((state) => {
  if (state === 'ok') void queryClient.invalidateQueries();
});
