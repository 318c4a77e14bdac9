import type { Entry } from './navigation';

export type Meaning =
  | { kind: 'none' | 'pending' | 'help' | 'filter' }
  | { kind: 'go'; to: string };

interface Pressed {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  target: EventTarget | null;
}

/** What a key means; nothing while somebody types, or together with Ctrl, Alt or Cmd. */
export function meaningOf(event: Pressed, pending: boolean, entries: readonly Entry[]): Meaning {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return { kind: 'none' };
  if (pending) {
    const entry = entries.find((one) => one.key === event.key);
    return entry === undefined ? { kind: 'none' } : { kind: 'go', to: entry.to };
  }
  if (event.key === 'g') return { kind: 'pending' };
  if (event.key === '?') return { kind: 'help' };
  if (event.key === '/') return { kind: 'filter' };
  return { kind: 'none' };
}

function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest('input, textarea, select, [role="textbox"], .xterm') !== null;
}
