/** Who is signed in. */
import { queryOptions, useQuery } from '@tanstack/react-query';
import { ApiError, request, setCsrfToken } from './client';
import { holds, holdsEverywhere } from './rights';
import type { Me, Role, SessionState } from './types';

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: async ({ signal }): Promise<SessionState | null> => {
    try {
      const state = await request<SessionState>('GET', '/session', { signal });
      setCsrfToken(state.csrf_token);
      return state;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
});

export async function signIn(name: string, password: string): Promise<SessionState> {
  const state = await request<SessionState>('POST', '/session', { body: { name, password } });
  setCsrfToken(state.csrf_token);
  return state;
}

export async function signOut(): Promise<void> {
  await request('DELETE', '/session');
  setCsrfToken(null);
}

export function useMe(): Me | undefined {
  return useQuery(sessionQuery).data?.me;
}

/** Whether to offer what needs this role somewhere; `everywhere`: what belongs to no server. */
export function useMay(role: Role, everywhere = false): boolean {
  const me = useMe();
  return everywhere ? holdsEverywhere(me, role) : holds(me, role);
}
