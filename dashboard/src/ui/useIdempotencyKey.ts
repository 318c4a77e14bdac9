import { useRef } from 'react';
import { newIdempotencyKey } from '@/api/client';

/** The `Idempotency-Key` of a form: the same for the same body, so that what is sent twice is done once; else a new one. */
export function useIdempotencyKey(): (body: unknown) => { 'Idempotency-Key': string } {
  const last = useRef({ text: '', key: '' });
  return (body) => {
    const text = JSON.stringify(body);
    if (text !== last.current.text) last.current = { text, key: newIdempotencyKey() };
    return { 'Idempotency-Key': last.current.key };
  };
}
