/** Lengths of time as people type them: `90`, `5m`, `1h30m`, `2 d`. */

const UNITS: Record<string, number> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400, w: 604_800 };
const PART = /(\d+(?:\.\d+)?)\s*(min|[smhdw])?\s*/gy;

/** Seconds; null for nothing, NaN for what is no length of time. */
export function parseDuration(text: string): number | null {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return null;
  let seconds = 0;
  PART.lastIndex = 0;
  while (PART.lastIndex < wanted.length) {
    const bare = PART.lastIndex > 0;
    const part = PART.exec(wanted);
    if (part === null || (part[2] === undefined && (bare || PART.lastIndex < wanted.length))) return Number.NaN;
    seconds += Number(part[1]) * UNITS[part[2] ?? 's']!;
  }
  return seconds;
}
