/** Where the cells of a grid are. Pure geometry: a grid of 20,000 hosts is drawn a screen at a time. */

export interface Layout {
  columns: number;
  rows: number;
  cellWidth: number;
  cellHeight: number;
  /** Of all rows. */
  height: number;
  /** Cells are wide enough for names. */
  named: boolean;
}

const GAP = 4;
const NAMED_MAX = 400;
const NAME_WIDTH = 150;
const NAME_HEIGHT = 28;

/** `coarse`: for fingers. */
export function layoutOf(count: number, width: number, coarse = false): Layout {
  const named = count <= NAMED_MAX;
  const square = coarse ? 26 : 16;
  const wish = named ? NAME_WIDTH : square;
  const columns = Math.max(1, Math.floor((width + GAP) / (wish + GAP)));
  const cellWidth = named ? Math.floor((width + GAP) / columns) - GAP : square;
  const cellHeight = named ? NAME_HEIGHT : square;
  const rows = Math.ceil(count / columns);
  return { columns, rows, cellWidth, cellHeight, height: Math.max(0, rows * (cellHeight + GAP) - GAP), named };
}

export interface Box {
  x: number;
  y: number;
}

/** The upper left corner of a cell. */
export function boxOf(layout: Layout, index: number): Box {
  return {
    x: (index % layout.columns) * (layout.cellWidth + GAP),
    y: Math.floor(index / layout.columns) * (layout.cellHeight + GAP),
  };
}

/** The cell at a point; -1: none. */
export function cellAt(layout: Layout, count: number, x: number, y: number): number {
  const column = Math.floor(x / (layout.cellWidth + GAP));
  const row = Math.floor(y / (layout.cellHeight + GAP));
  if (x < 0 || y < 0 || column >= layout.columns) return -1;
  const index = row * layout.columns + column;
  return index < count ? index : -1;
}

/** The first and last cell (exclusive) that a window onto the grid shows. */
export function visible(layout: Layout, count: number, top: number, height: number): [number, number] {
  const row = layout.cellHeight + GAP;
  const first = Math.max(0, Math.floor(top / row)) * layout.columns;
  const last = Math.ceil((top + height) / row) * layout.columns;
  return [Math.min(first, count), Math.min(last, count)];
}

/** Where a key leads from a cell; the same cell for keys that lead nowhere. */
export function moved(layout: Layout, count: number, index: number, key: string): number {
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -layout.columns,
    ArrowDown: layout.columns,
    Home: -count,
    End: count,
    PageUp: -10 * layout.columns,
    PageDown: 10 * layout.columns,
  };
  const step = steps[key];
  if (step === undefined || count === 0) return index;
  if (key === 'ArrowUp' && index < layout.columns) return index;
  if (key === 'ArrowDown' && index + layout.columns >= count) return index;
  return Math.min(count - 1, Math.max(0, index + step));
}
