/** Who is signed in. */
import { queryOptions, useQuery } from '@tanstack/react-query';
import { ApiError, type PageOf, request, setCsrfToken } from './client';
import { holds, holdsEverywhere, selectorsOf } from './rights';
import type { Me, Role, Server, SessionState } from './types';

/** Whose page this is; undefined before anybody is known. */
let person: string | undefined;

/** Take the session that the cookie opens now. Somebody else's begins with a page of their own. */
function take(state: SessionState): SessionState | Promise<never> {
  const now = state.me.user?.id ?? state.me.name;
  if (person !== undefined && person !== now) {
    window.location.reload();
    return new Promise<never>(() => undefined);
  }
  person = now;
  setCsrfToken(state.csrf_token);
  return state;
}

/** Nobody is signed in here any more. */
export function forgetSession(): void {
  person = undefined;
  setCsrfToken(null);
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  staleTime: Number.POSITIVE_INFINITY,
  queryFn: async ({ signal }): Promise<SessionState | null> => {
    try {
      return await take(await request<SessionState>('GET', '/session', { signal }));
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  },
});

export async function signIn(name: string, password: string): Promise<SessionState> {
  const state = await request<SessionState>('POST', '/session', { body: { name, password } });
  forgetSession();
  return take(state);
}

export async function signOut(): Promise<void> {
  await request('DELETE', '/session');
  forgetSession();
}

export function useMe(): Me | undefined {
  return useQuery(sessionQuery).data?.me;
}

/** Whether to offer what needs this role on this server: for grants on some servers only, the gateway is asked. */
export function useMayOn(role: Role, server: Server): boolean {
  const me = useMe();
  const everywhere = holdsEverywhere(me, role);
  const granted = selectorsOf(me, role).map((one) => `(${one})`).join(' or ');
  const selector = `id=${server.id} and (${granted})`;
  const { data } = useQuery({
    // With what grants may name, so that it is asked anew when that changes.
    queryKey: ['servers', 'granted', selector, server.labels, server.name],
    enabled: !everywhere && granted !== '',
    queryFn: ({ signal }) => request<PageOf<Server>>('GET', '/servers', { query: { selector, page_size: 1 }, signal }),
  });
  return everywhere || (data?.items.length ?? 0) > 0;
}

/** Whether to offer what needs this role somewhere; `everywhere`: what belongs to no server. */
export function useMay(role: Role, everywhere = false): boolean {
  const me = useMe();
  return everywhere ? holdsEverywhere(me, role) : holds(me, role);
}
