import { Text } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { type PointerEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { bandPath, type Frame, linePath, nearest, niceTop, runs, type Sample, x, y } from './chart';
import classes from './Chart.module.css';

const HEIGHT = 110;

interface ChartProps {
  title: string;
  samples: readonly Sample[];
  from: number;
  to: number;
  stepMs: number;
  /** The least that the top of the chart shows. */
  least: number;
  /** A fixed top, as 1 for parts. */
  top?: number;
  format: (value: number) => string;
}

/** One measure over time: the mean as a line, least and most as a band, holes where nothing was measured. */
export function Chart({ title, samples, from, to, stepMs, least, top, format }: ChartProps) {
  const { t, i18n } = useTranslation('common');
  const { ref, width } = useElementSize();
  const [pointed, setPointed] = useState<Sample | undefined>();
  const frame: Frame = { from, to, top: top ?? niceTop(samples.map((one) => one.max), least), width, height: HEIGHT };
  const last = samples.at(-1);
  const shown = pointed ?? last;
  const time = new Intl.DateTimeFormat(i18n.language, {
    ...(to - from > 86_400_000 ? { month: 'short', day: 'numeric' } : {}),
    hour: '2-digit',
    minute: '2-digit',
  });
  const point = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    setPointed(nearest(samples, from + ((event.clientX - box.left) / box.width) * (to - from)));
  };
  return (
    <figure className={classes.figure}>
      <figcaption className={classes.caption}>
        <Text size="sm" fw={600} component="span">
          {title}
        </Text>
        <Text size="sm" component="span" className={classes.value}>
          {shown ? format(shown.mean) : '–'}
          {pointed && (
            <Text size="xs" c="dimmed" component="span" ml={6}>
              {format(pointed.min)} – {format(pointed.max)} · {time.format(pointed.at)}
            </Text>
          )}
        </Text>
      </figcaption>
      <div ref={ref} className={classes.plot} style={{ height: HEIGHT }}>
        {samples.length === 0 ? (
          <Text size="sm" c="dimmed" className={classes.nothing}>
            {t('chart.nothing')}
          </Text>
        ) : (
          <svg
            width={width}
            height={HEIGHT}
            role="img"
            aria-label={t('chart.summary', {
              title,
              last: last ? format(last.mean) : '–',
              most: format(Math.max(...samples.map((one) => one.max))),
            })}
            onPointerMove={point}
            onPointerLeave={() => setPointed(undefined)}
          >
            {[0, 0.5, 1].map((part) => (
              <line key={part} x1={0} x2={width} y1={HEIGHT * part} y2={HEIGHT * part} className={classes.grid} />
            ))}
            {runs(samples, stepMs).map((run) => (
              <g key={run[0]?.at}>
                <path d={bandPath(frame, run)} className={classes.band} />
                {run.length === 1 && run[0] ? (
                  <circle cx={x(frame, run[0].at)} cy={y(frame, run[0].mean)} r={1.5} className={classes.dot} />
                ) : (
                  <path d={linePath(frame, run)} className={classes.line} />
                )}
              </g>
            ))}
            {pointed && <circle cx={x(frame, pointed.at)} cy={y(frame, pointed.mean)} r={3} className={classes.dot} />}
            <text x={2} y={11} className={classes.label}>
              {format(frame.top)}
            </text>
          </svg>
        )}
      </div>
      <div className={classes.axis} aria-hidden="true">
        <span>{time.format(from)}</span>
        <span>{time.format(to)}</span>
      </div>
    </figure>
  );
}
