// @vitest-environment node
import { expect, it } from 'vitest';
import type { JobTarget } from '@/api/types';
import { boxOf, cellAt, layoutOf, moved, visible } from './layout';
import { Targets } from './targets';

function target(number: number, part: Partial<JobTarget> = {}): JobTarget {
  return {
    number,
    server_id: `s${number}`,
    server_name: `web-${number}`,
    batch: 1,
    status: 'success',
    command_id: `c${number}`,
    reason: '',
    message: '',
    exit_code: 0,
    started_at: null,
    ended_at: null,
    log_size_bytes: 3,
    output_sha256: '',
    revision: 1,
    ...part,
  };
}

const all = { statuses: new Set<string>(), text: '', group: '' };

it('keeps the newest word about each target, in whatever order words come', () => {
  const targets = new Targets();
  targets.apply([target(2, { status: 'running', revision: 5 }), target(1, { revision: 3 })]);
  targets.apply([target(2, { status: 'waiting', revision: 2 })]);
  expect(targets.get(2)?.status).toBe('running');
  targets.apply([target(2, { status: 'failed', revision: 9 })]);
  expect(targets.get(2)?.status).toBe('failed');
  expect(targets.size).toBe(2);
});

it('selects by state, name and group', () => {
  const targets = new Targets();
  targets.apply([
    target(1, { output_sha256: 'a' }),
    target(2, { status: 'failed', exit_code: 1, output_sha256: 'b' }),
    target(3, { output_sha256: 'a' }),
    target(4, { status: 'running', server_name: 'DB-4' }),
  ]);
  expect(targets.select(all)).toEqual([1, 2, 3, 4]);
  expect(targets.select({ ...all, statuses: new Set(['failed', 'running']) })).toEqual([2, 4]);
  expect(targets.select({ ...all, text: 'db' })).toEqual([4]);
  const [largest, other] = targets.groups();
  expect(largest).toMatchObject({ numbers: [1, 3], status: 'success', exitCode: 0 });
  expect(other).toMatchObject({ numbers: [2], status: 'failed', exitCode: 1 });
  expect(targets.select({ ...all, group: largest!.key })).toEqual([1, 3]);
  expect(targets.interesting()).toBe(2);
});

it('finds the cell of each point and the point of each cell', () => {
  const layout = layoutOf(5000, 800);
  expect(layout.named).toBe(false);
  for (const index of [0, 1, layout.columns - 1, layout.columns, 4999]) {
    const { x, y } = boxOf(layout, index);
    expect(cellAt(layout, 5000, x + 3, y + 3)).toBe(index);
  }
  expect(cellAt(layout, 5000, -1, 5)).toBe(-1);
  expect(cellAt(layout, 5000, 10, layout.height + 50)).toBe(-1);
});

it('draws a screen of a grid of any size', () => {
  const layout = layoutOf(20_000, 800);
  const [first, last] = visible(layout, 20_000, 1000, 400);
  expect(last - first).toBeLessThan(30 * layout.columns);
  expect(boxOf(layout, first).y).toBeLessThanOrEqual(1000);
  expect(boxOf(layout, last - 1).y + layout.cellHeight).toBeGreaterThanOrEqual(1400 - 4);
});

it('gives few hosts their names, also on a phone', () => {
  expect(layoutOf(12, 340)).toMatchObject({ named: true, columns: 2, rows: 6 });
  expect(layoutOf(3, 100)).toMatchObject({ columns: 1, rows: 3 });
});

it('moves by keys and stays inside', () => {
  const layout = layoutOf(1000, 400);
  const { columns } = layout;
  expect(moved(layout, 1000, 0, 'ArrowRight')).toBe(1);
  expect(moved(layout, 1000, 0, 'ArrowLeft')).toBe(0);
  expect(moved(layout, 1000, 3, 'ArrowDown')).toBe(3 + columns);
  expect(moved(layout, 1000, 3, 'ArrowUp')).toBe(3);
  expect(moved(layout, 1000, 999, 'ArrowDown')).toBe(999);
  expect(moved(layout, 1000, 3, 'End')).toBe(999);
  expect(moved(layout, 1000, 3, 'x')).toBe(3);
});
