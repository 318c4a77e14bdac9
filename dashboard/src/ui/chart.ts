/** The geometry of a time chart; pure, so that it can be tested. */
export interface Sample {
  at: number;
  min: number;
  mean: number;
  max: number;
}

export interface Frame {
  from: number;
  to: number;
  top: number;
  width: number;
  height: number;
}

export function x(frame: Frame, at: number): number {
  return ((at - frame.from) / Math.max(1, frame.to - frame.from)) * frame.width;
}

export function y(frame: Frame, value: number): number {
  return frame.height - (Math.min(value, frame.top) / (frame.top || 1)) * frame.height;
}

/** A round number a little above the largest value; `least` for charts of nothing. */
export function niceTop(values: readonly number[], least: number): number {
  const most = Math.max(least, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  const step = [1, 2, 2.5, 5, 10].find((one) => one * power >= most) ?? 10;
  return step * power;
}

/** Runs of samples without a hole: a hole is where nothing was measured, and no line may hide that. */
export function runs(samples: readonly Sample[], stepMs: number): Sample[][] {
  const found: Sample[][] = [];
  for (const sample of samples) {
    const run = found.at(-1);
    const last = run?.at(-1);
    if (run === undefined || last === undefined || sample.at - last.at > stepMs * 1.6) found.push([sample]);
    else run.push(sample);
  }
  return found;
}

const round = (value: number): string => value.toFixed(1);

export function linePath(frame: Frame, run: readonly Sample[]): string {
  return run.map((one, index) => `${index === 0 ? 'M' : 'L'}${round(x(frame, one.at))} ${round(y(frame, one.mean))}`).join('');
}

/** Between the least and the most of each step. */
export function bandPath(frame: Frame, run: readonly Sample[]): string {
  const upper = run.map((one) => `${round(x(frame, one.at))} ${round(y(frame, one.max))}`);
  const lower = [...run].reverse().map((one) => `${round(x(frame, one.at))} ${round(y(frame, one.min))}`);
  return `M${[...upper, ...lower].join('L')}Z`;
}

export function nearest(samples: readonly Sample[], at: number): Sample | undefined {
  let best: Sample | undefined;
  for (const sample of samples) {
    if (best === undefined || Math.abs(sample.at - at) < Math.abs(best.at - at)) best = sample;
  }
  return best;
}
