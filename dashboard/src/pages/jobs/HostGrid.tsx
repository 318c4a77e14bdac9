import { Text, useComputedColorScheme } from '@mantine/core';
import { useElementSize, useMediaQuery } from '@mantine/hooks';
import { type KeyboardEvent, type MouseEvent, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { draw } from './draw';
import classes from './HostGrid.module.css';
import { boxOf, cellAt, layoutOf, moved } from './layout';
import type { Targets } from './targets';

interface HostGridProps {
  targets: Targets;
  /** Of the cells, in order. */
  numbers: readonly number[];
  selected: number;
  onSelect: (number: number) => void;
}

/** A cell for each host, coloured by its state. One canvas as large as what is in view, however many there are. */
export function HostGrid({ targets, numbers, selected, onSelect }: HostGridProps) {
  const { t } = useTranslation('work');
  const theme = useComputedColorScheme('light');
  const coarse = useMediaQuery('(pointer: coarse)') ?? false;
  const { ref: size, width } = useElementSize();
  const scroller = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState(-1);
  const layout = layoutOf(numbers.length, Math.max(0, width - 2), coarse);
  const index = numbers.indexOf(selected);

  useEffect(() => {
    const [box, surface] = [scroller.current, canvas.current];
    if (box === null || surface === null || width === 0) return;
    let frame = 0;
    const paint = () => {
      frame = 0;
      draw(surface, { layout, targets, numbers, selected, pointed, theme, top: box.scrollTop, height: box.clientHeight });
    };
    const plan = () => {
      frame ||= requestAnimationFrame(paint);
    };
    plan();
    box.addEventListener('scroll', plan, { passive: true });
    return () => {
      cancelAnimationFrame(frame);
      box.removeEventListener('scroll', plan);
    };
  });

  const at = (event: MouseEvent) => {
    const box = scroller.current!.getBoundingClientRect();
    const y = event.clientY - box.top + scroller.current!.scrollTop;
    return cellAt(layout, numbers.length, event.clientX - box.left, y);
  };
  const onKey = (event: KeyboardEvent) => {
    const next = moved(layout, numbers.length, Math.max(0, index), event.key);
    const number = numbers[next];
    if (number === undefined || (next === index && !event.key.startsWith('Arrow'))) return;
    event.preventDefault();
    onSelect(number);
    const { y } = boxOf(layout, next);
    const box = scroller.current!;
    if (y < box.scrollTop) box.scrollTop = y;
    else if (y + layout.cellHeight > box.scrollTop + box.clientHeight)
      box.scrollTop = y + layout.cellHeight - box.clientHeight;
  };
  const told = targets.get(numbers[pointed] ?? selected);
  return (
    <div ref={size}>
      <div
        ref={scroller}
        className={classes.scroller}
        style={{ height: layout.height + 2 }}
        role="application"
        aria-label={t('grid.label', { count: numbers.length })}
        aria-describedby="grid-story"
        tabIndex={0}
        data-testid="host-grid"
        onKeyDown={onKey}
        onMouseMove={(event) => setPointed(at(event))}
        onMouseLeave={() => setPointed(-1)}
        onClick={(event) => {
          const number = numbers[at(event)];
          if (number !== undefined) onSelect(number);
        }}
      >
        <div style={{ height: layout.height }}>
          <canvas ref={canvas} className={classes.canvas} aria-hidden="true" />
        </div>
      </div>
      <Text id="grid-story" className={classes.story} role="status" data-testid="grid-story">
        {told !== undefined &&
          [
            told.server_name,
            t(`states:name.${told.status}`, { defaultValue: told.status }),
            told.exit_code === null ? '' : t('exit', { code: told.exit_code }),
            told.message,
          ]
            .filter((one) => one !== '')
            .join(' · ')}
      </Text>
    </div>
  );
}
