import { useEffect, useState } from 'react';
import { copyText } from './copy';

const SHOWN_MS = 2000;

/** `outcome`: what the button says now, a key of `common`; for a moment how the last attempt ended. */
export function useCopy() {
  const [outcome, setOutcome] = useState<'copy' | 'copied' | 'copy_failed'>('copy');
  useEffect(() => {
    if (outcome === 'copy') return;
    const timer = setTimeout(() => setOutcome('copy'), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const copy = async (text: string) => setOutcome((await copyText(text)) ? 'copied' : 'copy_failed');
  return { outcome, copy };
}
