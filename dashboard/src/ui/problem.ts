/** How a problem is told. */
import { useTranslation } from 'react-i18next';
import { ApiError, type Problem } from '@/api/client';

// Somebody else changed it, or the same was asked for twice: a second look helps.
const QUICKER = new Set([
  'ETAG_MISMATCH',
  'REQUEST_ID_REUSED',
  'TRANSACTION_CONFLICT',
  'RESERVATION_GONE',
  'JOB_BUSY',
  'TARGETS_CHANGED',
]);

const FAMILIES = ['INVALID', 'NOT_FOUND', 'TOO_LARGE'];

// The service's sentence says no more than the text of the reason.
const SAYS_IT_ALL = new Set([
  'AGENT_NOT_FOUND',
  'ARTIFACT_NOT_FOUND',
  'AUDIT_UNAVAILABLE',
  'COMMAND_NOT_FOUND',
  'CONNECTION_LOST',
  'CREDENTIAL_NOT_FOUND',
  'DATABASE_BUSY',
  'DATABASE_TIMEOUT',
  'DATABASE_UNAVAILABLE',
  'DEPLOYMENT_NOT_FINAL',
  'DEPLOYMENT_NOT_FOUND',
  'ETAG_MISMATCH',
  'EVENT_BUS_UNAVAILABLE',
  'INTERNAL',
  'JOB_BUSY',
  'JOB_NOT_FINAL',
  'JOB_NOT_FOUND',
  'LAST_ADMIN',
  'LOGIN_BUSY',
  'LOGIN_FAILED',
  'LOG_PURGED',
  'PASSWORD_CHANGED',
  'PASSWORD_WRONG',
  'PROGRAM_HAS_NO_PASSWORD',
  'REALLOCATION_EMPTY',
  'REQUEST_ID_REUSED',
  'RIGHT_UNKNOWN',
  'SCHEDULE_CHANGED',
  'SCHEDULE_NOT_FOUND',
  'SEARCHES_BUSY',
  'SELECTOR_MATCHES_NOTHING',
  'SERVER_NOT_FOUND',
  'SERVICE_STOPPING',
  'SESSION_ENDED',
  'SESSION_NOT_FOUND',
  'SHUTTING_DOWN',
  'STOPPING',
  'TARGETS_CHANGED',
  'TOKEN_NOT_FOUND',
  'TRANSACTION_CONFLICT',
  'UNAUTHENTICATED',
  'USER_EXISTS',
  'USER_NOT_FOUND',
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

/** The texts that may say a reason: its own, else that of its kind. */
export function sentenceKeys(reason: string): string[] {
  const family = FAMILIES.find((one) => reason.endsWith(`_${one}`));
  return [`reason.${reason}`, ...(family === undefined ? [] : [`family.${family}`])];
}

/** A failure in the person's language where its reason has a text; `detail`: what the service adds, in English. */
export function useProblem(): (error: unknown) => { problem?: Problem; reason: string; sentence: string; detail: string } {
  const { t } = useTranslation('errors');
  return (error) => {
    const problem = error instanceof ApiError ? error.problem : undefined;
    const reason = problem?.reason ?? 'UNEXPECTED';
    const said = problem?.detail || String(error);
    const sentence = t(sentenceKeys(reason), { defaultValue: said });
    return { problem, reason, sentence, detail: sentence === said || SAYS_IT_ALL.has(reason) ? '' : said };
  };
}
