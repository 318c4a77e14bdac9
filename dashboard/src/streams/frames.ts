// Binary messages of the gateway's streams (docs/streams.md). Numbers are big-endian.

export const STDOUT = 1;
export const STDERR = 2;

export interface LogFrame {
  stream: number;
  /** Of the first byte of `data` in the interleaved log. */
  offset: number;
  data: Uint8Array;
}

export interface OutputFrame extends LogFrame {
  /** Of the job's target that wrote it. */
  number: number;
}

const LOG_HEAD = 9;
const OUTPUT_HEAD = 13;

export class BadFrame extends Error {}

/** A message of a log's stream. BadFrame: it is none. */
export function logFrame(message: ArrayBuffer): LogFrame {
  const view = viewOf(message, LOG_HEAD);
  return { stream: streamIn(view), offset: offsetIn(view, 1), data: new Uint8Array(message, LOG_HEAD) };
}

/** A message of a job's stream with output. BadFrame: it is none. */
export function outputFrame(message: ArrayBuffer): OutputFrame {
  const view = viewOf(message, OUTPUT_HEAD);
  const data = new Uint8Array(message, OUTPUT_HEAD);
  return { stream: streamIn(view), number: view.getUint32(1), offset: offsetIn(view, 5), data };
}

function viewOf(message: ArrayBuffer, head: number): DataView {
  if (message.byteLength < head) throw new BadFrame(`a frame of ${message.byteLength} bytes`);
  return new DataView(message);
}

function streamIn(view: DataView): number {
  const stream = view.getUint8(0);
  if (stream !== STDOUT && stream !== STDERR) throw new BadFrame(`a frame of stream ${stream}`);
  return stream;
}

function offsetIn(view: DataView, at: number): number {
  const offset = Number(view.getBigUint64(at));
  if (!Number.isSafeInteger(offset)) throw new BadFrame('an offset beyond 2^53');
  return offset;
}
