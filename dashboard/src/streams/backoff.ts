// How long a stream waits before it connects again.

const BASE_MS = 300;
const MOST_MS = 15_000;

/**
 * Milliseconds before try number `attempt` (from 0): half of it fixed, half by chance, so that the browsers of a
 * whole office do not come back to a restarted gateway in one moment.
 */
export function delayMs(attempt: number, random: () => number = Math.random): number {
  const full = Math.min(MOST_MS, BASE_MS * 2 ** Math.min(attempt, 16));
  return full / 2 + (full / 2) * random();
}
