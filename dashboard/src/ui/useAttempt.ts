import { useState } from 'react';
import { ApiError } from '@/api/client';

interface Attempt {
  busy: boolean;
  /** Why the last attempt failed; null while another one is under way. */
  error: unknown;
  /** What the service says about fields, by their names in the API. */
  said: Record<string, string>;
  /** Do it; whether it went well. */
  attempt: (work: () => Promise<void>) => Promise<boolean>;
  forget: () => void;
}

/** What is done at somebody's wish: busy while it is done, and its error kept to be shown. */
export function useAttempt(): Attempt {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const attempt = async (work: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await work();
      return true;
    } catch (failure) {
      setError(failure);
      return false;
    } finally {
      setBusy(false);
    }
  };
  const said = error instanceof ApiError ? error.problem.fields : {};
  return { busy, error, said, attempt, forget: () => setError(null) };
}
