// One look at a log: from where, how far, which streams, and what has come of it.

import { STDERR, STDOUT, type LogFrame } from '@/streams/frames';
import { followLog, type Gap, type LogKind, type LogSink } from '@/streams/log';
import type { ResumableSocket, StreamState, Surroundings } from '@/streams/socket';

import { WriteQueue } from './queue';
import { RowCount } from './rows';
import { type Soon, soonOfBrowser } from './soon';

export type Only = 'all' | 'stdout' | 'stderr';

/** Of a longer log only the end is asked for at first. */
export const TAIL_BYTES = 1024 * 1024;
/** What is shown around a place that somebody jumped to. */
export const EXCERPT_BYTES = 512 * 1024;
const CONTEXT_BYTES = 4096;

export interface Start {
  from: number;
  /** Where to stop; null: at the end, however long it takes. */
  to: number | null;
  /** The line to bring into view. */
  target: { offset: number; length: number } | null;
}

/** The end of a log of this size, followed. */
export function tailOf(size: number): Start {
  return { from: size > TAIL_BYTES ? size - TAIL_BYTES : 0, to: null, target: null };
}

/** The surroundings of a line. */
export function around(offset: number, length: number): Start {
  const from = Math.max(0, offset - CONTEXT_BYTES);
  return { from, to: from + EXCERPT_BYTES, target: { offset, length } };
}

export interface SessionState {
  stream: StreamState;
  from: number;
  /** Behind the last byte that came. */
  offset: number;
  gaps: Gap[];
  /** The end of the excerpt has come; nothing is followed. */
  stopped: boolean;
  /** The command or deployment in its final state. */
  document: unknown;
}

/** The part of TerminalView that this needs. */
export interface Viewer<Place> {
  readonly columns: number;
  /** Rows that can be scrolled to. */
  readonly capacity: number;
  write(data: Uint8Array, done: () => void): void;
  marker(): Place | undefined;
  reveal(place: Place, length: number): void;
}

export interface SessionOptions<Place> {
  kind: LogKind;
  id: string;
  start: Start;
  only: Only;
  apart: boolean;
  view: Viewer<Place>;
  texts: { skipped: (bytes: number) => string; gap: (gap: Gap) => string };
  onChange: (state: SessionState) => void;
  soon?: Soon;
  around?: Surroundings;
}

export class LogSession<Place> implements LogSink {
  private readonly queue: WriteQueue;
  private readonly socket: ResumableSocket;
  private readonly soon: Soon;
  private readonly wanted: number;
  private state: SessionState;
  private untilLine: boolean;
  private readonly rows: RowCount;
  private marked = false;
  private place: Place | undefined;
  private cancel: (() => void) | null = null;

  constructor(private readonly options: SessionOptions<Place>) {
    const { start, only } = options;
    this.soon = options.soon ?? soonOfBrowser;
    this.rows = new RowCount(options.view.columns, options.view.capacity);
    this.wanted = only === 'all' ? 0 : only === 'stdout' ? STDOUT : STDERR;
    // A log that is begun in its middle begins at a line.
    this.untilLine = start.from > 0;
    this.state = {
      stream: { kind: 'connecting' },
      from: start.from,
      offset: start.from,
      gaps: [],
      stopped: false,
      document: null,
    };
    this.queue = new WriteQueue(options.view, { apart: options.apart, skipped: options.texts.skipped, soon: this.soon });
    this.socket = followLog(
      options.kind,
      options.id,
      start.from,
      this,
      (stream) => this.change({ stream }),
      options.around,
    );
  }

  bytes(frame: LogFrame): void {
    const { to } = this.options.start;
    if (to === null) {
      this.take(frame, frame.data.length);
      return;
    }
    // An excerpt ends before its beginning would be lost.
    const room = Math.max(0, Math.min(frame.data.length, to - frame.offset));
    this.take(frame, this.rows.take(frame.data.subarray(0, room)));
    if (this.state.offset >= to || this.rows.isFull) this.stop();
  }

  gap(gap: Gap): void {
    this.change({ offset: gap.to, gaps: [...this.state.gaps.slice(-99), gap] });
    this.queue.notice(this.options.texts.gap(gap));
  }

  end(offset: number, document: unknown): void {
    this.settle();
    this.change({ offset: Math.max(offset, this.state.offset), document });
  }

  hurry(): void {
    this.socket.hurry();
  }

  close(): void {
    this.socket.close();
    this.queue.close();
    this.cancel?.();
    this.cancel = null;
  }

  private take(frame: LogFrame, length: number): void {
    if (length === 0) return;
    this.show({ ...frame, data: frame.data.subarray(0, length) });
    this.change({ offset: frame.offset + length });
  }

  private stop(): void {
    this.socket.close();
    this.settle();
    this.change({ stopped: true, stream: { kind: 'ended' } });
  }

  private show(frame: LogFrame): void {
    if (this.wanted !== 0 && frame.stream !== this.wanted) return;
    let rest = frame;
    if (this.untilLine) {
      const end = frame.data.indexOf(0x0a);
      if (end < 0) return;
      this.untilLine = false;
      rest = { ...frame, offset: frame.offset + end + 1, data: frame.data.subarray(end + 1) };
    }
    const target = this.options.start.target;
    if (target !== null && !this.marked && rest.offset + rest.data.length > target.offset) {
      const before = Math.max(0, target.offset - rest.offset);
      this.queue.push({ ...rest, data: rest.data.subarray(0, before) });
      this.mark();
      rest = { ...rest, offset: rest.offset + before, data: rest.data.subarray(before) };
    }
    if (rest.data.length > 0) this.queue.push(rest);
  }

  /** Note the place of the target, and show it as soon as a screen's height of what follows is there. */
  private mark(): void {
    if (this.options.start.target === null || this.marked) return;
    this.marked = true;
    this.queue.mark(() => {
      this.place = this.options.view.marker();
      this.soon(() => this.queue.mark(() => this.reveal()));
    });
  }

  /** Behind all that came: a terminal at its end goes along with what is written. */
  private settle(): void {
    this.mark();
    this.queue.mark(() => this.reveal());
  }

  private reveal(): void {
    const { target } = this.options.start;
    if (this.place !== undefined && target !== null) this.options.view.reveal(this.place, target.length);
  }

  private change(part: Partial<SessionState>): void {
    this.state = { ...this.state, ...part };
    if (this.cancel !== null) return;
    this.cancel = this.soon(() => {
      this.cancel = null;
      this.options.onChange(this.state);
    });
  }
}
