import { Box, UnstyledButton } from '@mantine/core';
import { useMediaQuery } from '@mantine/hooks';
import { useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useMemo, useRef, useState } from 'react';
import classes from './DataTable.module.css';

export interface Column<T> {
  key: string;
  header: string;
  render: (row: T) => ReactNode;
  /** CSS grid width: `minmax(8rem, 1fr)`, `7rem`. */
  width?: string;
  /** Makes the column sortable. */
  sort?: (row: T) => string | number;
  /** Not shown on a phone; `extra`: on a wide screen only. */
  wide?: boolean | 'extra';
  align?: 'left' | 'right';
}

interface DataTableProps<T> {
  /** Names the table for screen readers. */
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string;
  /** Of the scrolled part; a page has one scroll bar where rows are few. */
  height?: number | 'auto' | string;
  rowHeight?: number;
  empty?: ReactNode;
  /** Selected rows have a checkbox when these are given. */
  selected?: ReadonlySet<string>;
  onSelect?: (keys: ReadonlySet<string>) => void;
  selectLabel?: (row: T) => string;
  onEnd?: () => void;
}

type Order = { key: string; down: boolean } | null;

/** A table of any number of rows: only those in view are in the document. Rows are as high as `rowHeight`. */
export function DataTable<T>(props: DataTableProps<T>) {
  const { rows, columns, rowKey, rowHeight = 40, selected, onSelect } = props;
  const narrow = useMediaQuery('(max-width: 48em)') ?? false;
  const tight = useMediaQuery('(max-width: 90em)') ?? false;
  const shown = useMemo(
    () => columns.filter(({ wide }) => !(narrow && wide) && !(tight && wide === 'extra')),
    [columns, narrow, tight],
  );
  const [order, setOrder] = useState<Order>(null);
  const sorted = useMemo(() => inOrder(rows, columns, order), [rows, columns, order]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: sorted.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    getItemKey: (index) => rowKey(sorted[index] as T),
  });
  const widths = shown.map((column) => column.width ?? 'minmax(6rem, 1fr)');
  const template = [...(selected ? ['2.5rem'] : []), ...widths].join(' ');
  if (rows.length === 0 && props.empty) return <>{props.empty}</>;
  const fits = sorted.length * rowHeight + rowHeight + 4;
  const height = (props.height === 'auto' ? Math.min(fits, 420) : props.height) ?? `min(${fits}px, max(20rem, calc(100dvh - 17rem)))`;
  return (
    <Box className={classes.frame}>
      <div
        ref={scroller}
        className={classes.scroller}
        style={{ height }}
        role="table"
        aria-label={props.label}
        aria-rowcount={sorted.length + 1}
        tabIndex={0}
        onScroll={(event) => {
          const box = event.currentTarget;
          if (box.scrollTop + box.clientHeight > box.scrollHeight - 10 * rowHeight) props.onEnd?.();
        }}
      >
        <div role="rowgroup" className={classes.head}>
          <div role="row" aria-rowindex={1} className={classes.row} style={{ gridTemplateColumns: template, height: rowHeight }}>
            {selected && onSelect && (
              <span role="columnheader" className={classes.cell}>
                <input
                  type="checkbox"
                  aria-label={props.label}
                  checked={selected.size > 0 && selected.size === rows.length}
                  onChange={(event) => onSelect(new Set(event.currentTarget.checked ? rows.map(rowKey) : []))}
                />
              </span>
            )}
            {shown.map((column) => (
              <HeaderCell key={column.key} column={column} order={order} onOrder={setOrder} />
            ))}
          </div>
        </div>
        <div role="rowgroup" style={{ height: virtual.getTotalSize(), position: 'relative' }}>
          {virtual.getVirtualItems().map((item) => {
            const row = sorted[item.index] as T;
            const key = rowKey(row);
            return (
              <div
                key={key}
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={selected ? selected.has(key) : undefined}
                className={`${classes.row} ${classes.body}`}
                style={{ gridTemplateColumns: template, height: rowHeight, transform: `translateY(${item.start}px)` }}
              >
                {selected && onSelect && (
                  <span role="cell" className={classes.cell}>
                    <input
                      type="checkbox"
                      aria-label={props.selectLabel?.(row) ?? key}
                      checked={selected.has(key)}
                      onChange={() => onSelect(toggled(selected, key))}
                    />
                  </span>
                )}
                {shown.map((column) => (
                  <span role="cell" key={column.key} className={classes.cell} data-align={column.align}>
                    {column.render(row)}
                  </span>
                ))}
              </div>
            );
          })}
        </div>
      </div>
    </Box>
  );
}

interface HeaderProps<T> {
  column: Column<T>;
  order: Order;
  onOrder: (order: Order) => void;
}

function HeaderCell<T>({ column, order, onOrder }: HeaderProps<T>) {
  const mine = order?.key === column.key;
  const said = mine ? (order.down ? 'descending' : 'ascending') : 'none';
  const next: Order = !mine ? { key: column.key, down: false } : order.down ? null : { key: column.key, down: true };
  return (
    <span
      role="columnheader"
      className={classes.cell}
      data-align={column.align}
      aria-sort={column.sort ? said : undefined}
    >
      {column.sort ? (
        <UnstyledButton className={classes.sort} onClick={() => onOrder(next)}>
          {column.header} <span aria-hidden="true">{mine ? (order.down ? '↓' : '↑') : ''}</span>
        </UnstyledButton>
      ) : (
        column.header
      )}
    </span>
  );
}

export function inOrder<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order): readonly T[] {
  const by = columns.find((column) => column.key === order?.key)?.sort;
  if (order === null || by === undefined) return rows;
  const sign = order.down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, other] = [by(a), by(b)];
    if (one === other) return 0;
    return (one < other ? -1 : 1) * sign;
  });
}

function toggled(keys: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const next = new Set(keys);
  if (!next.delete(key)) next.add(key);
  return next;
}
