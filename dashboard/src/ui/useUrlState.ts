import { useNavigate, useSearch } from '@tanstack/react-router';
import { useCallback } from 'react';

type Values = Record<string, string | undefined>;

/** A value kept in the address, so that a link and the back button find it again. Empty ones leave the address. */
export function useUrlState(name: string, initial = ''): [string, (value: string) => void] {
  const search = useSearch({ strict: false }) as Values;
  const navigate = useNavigate();
  const set = useCallback(
    (value: string) => {
      void navigate({
        to: '.',
        search: (before: Values) => ({ ...before, [name]: value === initial ? undefined : value }),
        replace: true,
      });
    },
    [navigate, name, initial],
  );
  const value = search[name];
  return [typeof value === 'string' ? value : initial, set];
}

/** `?selector=env=prod` and not JSON: people read addresses, and change them by hand. */
export function parseSearch(text: string): Values {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== '') params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
