/** Numbers and times as people of the chosen language read them. */
const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
];

export function relativeTime(at: number, now: number, language: string): string {
  const seconds = Math.round((at - now) / 1000);
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length || unit === 'second') return format.format(Math.trunc(seconds / length), unit);
  }
  return '';
}

export function absoluteTime(at: number, language: string): string {
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium' }).format(at);
}

/** `1.5 GiB`; binary units, as hosts report them. */
export function bytes(count: number, language: string): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value)} ${units[unit]}`;
}

/** `2 d 3 h`, `4 min 5 s`, `0.8 s`: the two largest units. */
export function duration(seconds: number, language: string): string {
  const part = (value: number, unit: string): string =>
    new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'short' }).format(value);
  if (seconds > 0 && seconds < 1) return part(Math.max(1, Math.round(seconds * 1000)), 'millisecond');
  if (seconds < 10) return part(Number(seconds.toFixed(1)), 'second');
  const whole = Math.round(seconds);
  const steps: [number, string][] = [
    [86_400, 'day'],
    [3600, 'hour'],
    [60, 'minute'],
    [1, 'second'],
  ];
  const first = steps.findIndex(([length]) => whole >= length);
  const [length, unit] = steps[first] ?? [1, 'second'];
  const rest = steps[first + 1];
  const head = part(Math.floor(whole / length), unit);
  if (rest === undefined) return head;
  const tail = Math.floor((whole % length) / rest[0]);
  return tail === 0 ? head : `${head} ${part(tail, rest[1])}`;
}

export function percent(part: number, language: string): string {
  return new Intl.NumberFormat(language, { style: 'percent', maximumFractionDigits: part < 0.1 ? 1 : 0 }).format(part);
}

export function count(value: number, language: string): string {
  return new Intl.NumberFormat(language).format(value);
}
