// What waits to be written to a terminal: bounded, joined per animation frame, never more than one write under way.

import type { LogFrame } from '@/streams/frames';

import { Painter } from './painter';
import { type Soon, soonOfBrowser } from './soon';

/** The part of a terminal that this needs. */
export interface Screen {
  write(data: Uint8Array, done: () => void): void;
}

// What is painted in one frame. A terminal takes some 10 MB/s, so this is about half of a frame.
const FRAME_BYTES = 96 * 1024;
// Beyond the first the older part is left out up to the second: of more than that nothing would stay in the scrollback.
const PENDING_MAX = 4 * 1024 * 1024;
const PENDING_KEPT = 1024 * 1024;

const RESET = new TextEncoder().encode('\x1b[0m\r\n');

interface Piece {
  frame: LogFrame | null;
  /** Called when all that came before is on the screen. */
  mark: (() => void) | null;
  notice: string;
}

export interface QueueOptions {
  apart: boolean;
  /** A sentence for the place where bytes were left out of the view. */
  skipped: (bytes: number) => string;
  soon?: Soon;
}

export class WriteQueue {
  private readonly pieces: Piece[] = [];
  private readonly soon: Soon;
  private painter: Painter;
  private pending = 0;
  private skippedBytes = 0;
  private busy = false;
  private cancel: (() => void) | null = null;
  private closed = false;

  constructor(
    private readonly screen: Screen,
    private readonly options: QueueOptions,
  ) {
    this.soon = options.soon ?? soonOfBrowser;
    this.painter = new Painter(options.apart);
  }

  /** Bytes that wait. */
  get waiting(): number {
    return this.pending;
  }

  /** Write a piece of output. */
  push(frame: LogFrame): void {
    this.pieces.push({ frame, mark: null, notice: '' });
    this.pending += frame.data.length;
    if (this.pending > PENDING_MAX) this.skip();
    this.plan();
  }

  /** A line of our own; plain text. */
  notice(text: string): void {
    this.pieces.push({ frame: null, mark: null, notice: text });
    this.plan();
  }

  /** Call `act` when all that was pushed before is on the screen. */
  mark(act: () => void): void {
    this.pieces.push({ frame: null, mark: act, notice: '' });
    this.plan();
  }

  close(): void {
    this.closed = true;
    this.pieces.length = 0;
    this.pending = 0;
    this.cancel?.();
    this.cancel = null;
  }

  private skip(): void {
    let kept = this.pieces.length;
    let bytes = 0;
    while (kept > 0 && bytes < PENDING_KEPT) bytes += this.pieces[--kept]!.frame?.data.length ?? 0;
    const left = this.pieces.splice(0, kept);
    for (const piece of left) this.skippedBytes += piece.frame?.data.length ?? 0;
    // A mark waits for nothing any more.
    this.pieces.unshift(...left.filter((piece) => piece.mark !== null));
    this.pending = bytes;
  }

  private plan(): void {
    if (this.closed || this.busy || this.cancel !== null) return;
    this.cancel = this.soon(() => {
      this.cancel = null;
      this.flush();
    });
  }

  private flush(): void {
    const marks: (() => void)[] = [];
    const parts: Uint8Array[] = [];
    this.sayWhatWasSkipped(parts);
    let taken = 0;
    while (this.pieces.length > 0 && taken < FRAME_BYTES) {
      const piece = this.pieces[0]!;
      if (piece.mark !== null) {
        this.pieces.shift();
        marks.push(piece.mark);
        break;
      }
      taken += piece.frame === null ? this.tell(piece, parts) : this.paint(piece.frame, FRAME_BYTES - taken, parts);
    }
    this.write(joined(parts), marks);
  }

  private tell(piece: Piece, parts: Uint8Array[]): number {
    this.pieces.shift();
    parts.push(noticeBytes(piece.notice));
    this.painter.forget();
    return piece.notice.length;
  }

  private paint(frame: LogFrame, room: number, parts: Uint8Array[]): number {
    const now = frame.data.subarray(0, room);
    if (now.length === frame.data.length) this.pieces.shift();
    else {
      const rest = { ...frame, offset: frame.offset + now.length, data: frame.data.subarray(now.length) };
      this.pieces[0] = { frame: rest, mark: null, notice: '' };
    }
    this.pending -= now.length;
    parts.push(...this.painter.take(frame.stream, now));
    return now.length;
  }

  private sayWhatWasSkipped(parts: Uint8Array[]): void {
    if (this.skippedBytes === 0) return;
    this.painter = new Painter(this.options.apart);
    parts.push(RESET, noticeBytes(this.options.skipped(this.skippedBytes)));
    this.skippedBytes = 0;
  }

  private write(data: Uint8Array, marks: (() => void)[]): void {
    const done = () => {
      this.busy = false;
      if (this.closed) return;
      for (const mark of marks) mark();
      if (this.pieces.length > 0) this.plan();
    };
    this.busy = true;
    if (data.length === 0) done();
    else this.screen.write(data, done);
  }
}

function noticeBytes(text: string): Uint8Array {
  const plain = text.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ');
  return new TextEncoder().encode(`\x1b[0;7m ${plain} \x1b[0m\r\n`);
}

function joined(parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
