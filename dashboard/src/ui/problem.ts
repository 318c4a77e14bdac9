/** What a problem is headed by. */

// Somebody else changed it, or the same was asked for twice: a second look helps.
const QUICKER = new Set([
  'ETAG_MISMATCH',
  'REQUEST_ID_REUSED',
  'TRANSACTION_CONFLICT',
  'RESERVATION_GONE',
  'JOB_BUSY',
  'TARGETS_CHANGED',
]);

/** The key of its title; empty: its own sentence says it best. */
export function titleKey(status: number | undefined, reason: string): string {
  if (QUICKER.has(reason)) return 'conflict';
  if (status === undefined) return 'unexpected';
  if (status === 0) return 'connection';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 409) return '';
  if (status === 429) return 'too_many';
  if (status >= 500) return 'server';
  return 'refused';
}
