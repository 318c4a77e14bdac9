import { beforeEach, expect, it } from 'vitest';

import { around, LogSession, type SessionState, type Start, tailOf } from './session';

class Socket {
  binaryType = '';
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  isClosed = false;

  constructor(readonly url: string) {}

  close(): void {
    this.isClosed = true;
  }

  log(stream: number, offset: number, text: string): void {
    const data = new TextEncoder().encode(text);
    const bytes = new Uint8Array(9 + data.length);
    new DataView(bytes.buffer).setUint8(0, stream);
    new DataView(bytes.buffer).setBigUint64(1, BigInt(offset));
    bytes.set(data, 9);
    this.onmessage?.({ data: bytes.buffer });
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

let socket: Socket;
let written: string;
let revealed: string[];
let state: SessionState;
let planned: (() => void)[];

beforeEach(() => {
  written = '';
  revealed = [];
  planned = [];
});

function session(start: Start, only: 'all' | 'stdout' | 'stderr' = 'all'): LogSession<number> {
  return new LogSession<number>({
    kind: 'commands',
    id: 'c1',
    start,
    only,
    apart: false,
    view: {
      columns: 80,
      capacity: 2000,
      write: (data, done) => {
        written += new TextDecoder().decode(data);
        done();
      },
      marker: () => written.length,
      reveal: (place, length) => revealed.push(written.slice(place, place + length)),
    },
    texts: { skipped: (bytes) => `skipped ${bytes}`, gap: (gap) => `gap of ${gap.to - gap.from}` },
    onChange: (now) => (state = now),
    soon: (act) => {
      planned.push(act);
      return () => planned.splice(planned.indexOf(act), 1);
    },
    around: {
      open: (url) => (socket = new Socket(url)) as unknown as WebSocket,
      after: () => () => undefined,
      random: () => 0,
    },
  });
}

function paint(): void {
  while (planned.length > 0) planned.shift()!();
}

const plain = () => written.replace(/\x1b\[[\d;]*m/g, '');

it('begins a log in its middle at a line, and a whole one at its first byte', () => {
  session(tailOf(10));
  socket.log(1, 0, 'first\nsecond\n');
  paint();
  expect(plain()).toBe('first\nsecond\n');
  written = '';
  session(tailOf(5_000_000));
  expect(new URL(socket.url).searchParams.get('offset')).toBe(String(5_000_000 - 1024 * 1024));
  socket.log(1, 5_000_000 - 1024 * 1024, 'half a li');
  socket.log(1, 5_000_000 - 1024 * 1024 + 9, 'ne\nwhole\n');
  paint();
  expect(plain()).toBe('whole\n');
});

it('ends an excerpt at its end, shows its line, and follows nothing', () => {
  const start = { ...around(10_000, 6), to: 12_000 };
  session(start);
  const text = `${'.'.repeat(9)}\n`.repeat(1000);
  const data = `${text.slice(0, 10_000 - start.from)}needle\n${text}`;
  socket.log(1, start.from, data);
  paint();
  // Once early, and once more when all is there.
  expect(revealed).toEqual(['needle', 'needle']);
  expect(state).toMatchObject({ stopped: true, offset: 12_000, stream: { kind: 'ended' } });
  expect(socket.isClosed).toBe(true);
});

it('shows one stream alone and counts both', () => {
  session(tailOf(0), 'stderr');
  socket.log(1, 0, 'out\n');
  socket.log(2, 4, 'err\n');
  paint();
  expect(plain()).toBe('err\n');
  expect(state.offset).toBe(8);
});

it('says what is missing and keeps what the end brought', () => {
  session(tailOf(0));
  socket.log(1, 0, 'a\n');
  socket.say({ type: 'gap', from: 2, to: 100, reason: 'size_limit' });
  socket.log(1, 100, 'b\n');
  socket.say({ type: 'final', offset: 102, command: { status: 'success' } });
  socket.onclose!({ code: 1000, reason: '' });
  paint();
  expect(plain()).toBe('a\n gap of 98 \r\nb\n');
  expect(state).toMatchObject({ offset: 102, document: { status: 'success' }, stream: { kind: 'ended' } });
});

it('ends an excerpt before its beginning is lost, and says where', () => {
  session({ from: 0, to: 1_000_000, target: null });
  socket.log(1, 0, 'x\n'.repeat(1500));
  socket.log(2, 3000, `${'y'.repeat(160)}\n`.repeat(1000));
  paint();
  expect(plain().split('\n').length).toBeLessThanOrEqual(2001);
  expect(state).toMatchObject({ stopped: true, offset: 3000 + 250 * 161 });
});
