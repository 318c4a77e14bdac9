import { beforeEach, describe, expect, it } from 'vitest';

import { followEvents } from './events';
import { followJob } from './job';
import { followLog, type LogSink } from './log';
import { ResumableSocket, type StreamState, type Surroundings, type Verdict } from './socket';

class FakeSocket {
  binaryType = '';
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  sent: string[] = [];
  closed = false;

  constructor(readonly url: string) {}

  send(text: string): void {
    this.sent.push(text);
  }

  close(): void {
    this.closed = true;
  }

  say(message: unknown): void {
    this.onmessage?.({ data: message instanceof ArrayBuffer ? message : JSON.stringify(message) });
  }

  break(code = 1006, reason = ''): void {
    this.onclose?.({ code, reason });
  }
}

class World implements Surroundings {
  sockets: FakeSocket[] = [];
  timers: { ms: number; act: () => void }[] = [];
  states: StreamState[] = [];
  refused = false;

  open(url: string): WebSocket {
    if (this.refused) throw new Error('bad address');
    this.sockets.push(new FakeSocket(url));
    return this.last as unknown as WebSocket;
  }

  after(ms: number, act: () => void): () => void {
    const timer = { ms, act };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter((one) => one !== timer);
    };
  }

  random = () => 0;

  get last(): FakeSocket {
    return this.sockets.at(-1)!;
  }

  get state(): StreamState {
    return this.states.at(-1)!;
  }

  /** What is due next. */
  next(): void {
    const timer = this.timers.shift()!;
    timer.act();
  }

  onState = (state: StreamState) => {
    this.states.push(state);
  };
}

function frame(stream: number, offset: number, text: string): ArrayBuffer {
  const data = new TextEncoder().encode(text);
  const bytes = new Uint8Array(9 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, stream);
  view.setBigUint64(1, BigInt(offset));
  bytes.set(data, 9);
  return bytes.buffer;
}

class Sink implements LogSink {
  told: string[] = [];

  bytes(one: { stream: number; offset: number; data: Uint8Array }): void {
    this.told.push(`${one.stream}@${one.offset} ${new TextDecoder().decode(one.data)}`);
  }

  gap(gap: { from: number; to: number; reason: string }): void {
    this.told.push(`gap ${gap.from}-${gap.to} ${gap.reason}`);
  }

  end(offset: number, document: unknown): void {
    this.told.push(`end ${offset} ${JSON.stringify(document)}`);
  }
}

let world: World;
let sink: Sink;

beforeEach(() => {
  world = new World();
  sink = new Sink();
});

const follow = (offset = 0) => followLog('commands', 'c1', offset, sink, world.onState, world);
const at = (url: string) => new URL(url).pathname + new URL(url).search;

describe('a log', () => {
  it('is asked for again from behind the last byte, and no byte comes twice', () => {
    follow();
    expect(at(world.last.url)).toBe('/api/v1/commands/c1/log/stream?offset=0');
    world.last.onopen!();
    world.last.say(frame(1, 0, 'abc'));
    world.last.break(1012, 'the gateway is restarting');
    expect(world.state).toEqual({ kind: 'waiting', code: 1012, detail: 'the gateway is restarting', attempt: 1 });
    world.next();
    expect(at(world.last.url)).toBe('/api/v1/commands/c1/log/stream?offset=3');
    world.last.onopen!();
    world.last.say(frame(2, 1, 'bcdef'));
    world.last.say({ type: 'gap', from: 6, to: 10, reason: 'size_limit' });
    world.last.say(frame(1, 10, 'x'));
    world.last.say({ type: 'final', offset: 11, command: { status: 'success' } });
    world.last.break(1000);
    expect(world.state).toEqual({ kind: 'ended' });
    expect(sink.told).toEqual(['1@0 abc', '2@3 def', 'gap 6-10 size_limit', '1@10 x', 'end 11 {"status":"success"}']);
  });

  it('is not over at a close without its final message', () => {
    follow();
    world.last.onopen!();
    world.last.break(1000);
    expect(world.state.kind).toBe('waiting');
  });

  it('that jumps is asked for again, and given up after a few times', () => {
    follow();
    for (let round = 0; round < 6; round += 1) {
      world.last.onopen!();
      world.last.say(frame(1, 5, 'x'));
      if (world.state.kind === 'waiting') world.next();
    }
    expect(world.state).toMatchObject({ kind: 'failed', detail: 'the log jumps from 0 to 5' });
    expect(sink.told).toEqual([]);
  });

  it('that is silent for longer than three pings is asked for again', () => {
    follow(7);
    world.last.onopen!();
    world.last.say({ type: 'ping' });
    expect(world.timers.map((timer) => timer.ms)).toEqual([45_000]);
    const silent = world.last;
    world.next();
    expect(silent.closed).toBe(true);
    expect(world.state.kind).toBe('waiting');
    world.next();
    expect(world.sockets).toHaveLength(2);
  });

  it('says nothing after it was closed', () => {
    const socket = follow();
    world.last.onopen!();
    const { length } = world.states;
    const old = world.last;
    socket.close();
    old.say(frame(1, 0, 'x'));
    old.break();
    expect(world.states).toHaveLength(length);
    expect(world.timers).toEqual([]);
    expect(sink.told).toEqual([]);
  });
});

describe('a way that does not open', () => {
  const settled = () => new Promise((resolve) => setTimeout(resolve));

  function tried(verdict: () => Promise<Verdict | null>) {
    const feed = { url: () => 'ws://x/', text: () => undefined, isOver: () => false, verdict };
    new ResumableSocket(feed, world.onState, world);
    world.last.break();
    return settled();
  }

  it.each([401, 403, 404, 410])('ends with %i, which no other try mends', async (status) => {
    await tried(async () => ({ status, detail: 'said by the server' }));
    expect(world.state).toEqual({ kind: 'failed', code: 1006, status, detail: 'said by the server' });
    expect(world.timers).toEqual([]);
  });

  it('is tried again, later and later, when nothing stands against it or nobody answers', async () => {
    const waits: number[] = [];
    await tried(async () => null);
    for (let round = 0; round < 8; round += 1) {
      waits.push(world.timers[0]!.ms);
      world.next();
      world.last.break();
      await settled();
    }
    expect(waits).toEqual([150, 300, 600, 1200, 2400, 4800, 7500, 7500]);
    expect(world.state.kind).toBe('waiting');
  });

  it('that is shut is judged by what is followed: the session may be another one now, or the right is gone', async () => {
    const verdicts: (Verdict | null)[] = [null, { status: 403, detail: 'not any more' }];
    const feed = { url: () => 'ws://x/', text: () => undefined, isOver: () => false, verdict: async () => verdicts.shift()! };
    new ResumableSocket(feed, world.onState, world);
    world.last.onopen!();
    world.last.break(1008, 'your session has ended');
    await settled();
    expect(world.state).toMatchObject({ kind: 'waiting', code: 1008, attempt: 1 });
    world.next();
    world.last.onopen!();
    world.last.break(1008, 'not any more');
    await settled();
    expect(world.state).toEqual({ kind: 'failed', code: 1008, status: 403, detail: 'not any more' });
  });

  it('that was shut because the page slept is opened again, however often', async () => {
    const feed = { url: () => 'ws://x/', text: () => undefined, isOver: () => false, verdict: async () => null };
    new ResumableSocket(feed, world.onState, world);
    for (let round = 0; round < 20; round += 1) {
      world.last.onopen!();
      world.last.break(1008, 'nothing was read for 30 s');
      await settled();
      expect(world.state.kind).toBe('waiting');
      world.next();
    }
  });

  it('that is shut again and again is given up', async () => {
    const feed = { url: () => 'ws://x/', text: () => undefined, isOver: () => false, verdict: async () => null };
    new ResumableSocket(feed, world.onState, world);
    for (let round = 0; round < 6; round += 1) {
      world.last.onopen!();
      world.last.break(1008, 'something is wrong with it');
      await settled();
      if (world.state.kind === 'waiting') world.next();
    }
    expect(world.state).toMatchObject({ kind: 'failed', detail: 'something is wrong with it' });
  });

  it('is tried again when the question fails too', async () => {
    await tried(async () => {
      throw new Error('offline');
    });
    expect(world.state).toMatchObject({ kind: 'waiting', attempt: 1 });
  });

  it('does not wait any more when somebody is in a hurry', async () => {
    const feed = { url: () => 'ws://x/', text: () => undefined, isOver: () => false, verdict: async () => null };
    const socket = new ResumableSocket(feed, world.onState, world);
    world.last.break();
    await settled();
    socket.hurry();
    socket.hurry();
    expect(world.sockets).toHaveLength(2);
  });

  it('is a failure when the address is none', () => {
    world.refused = true;
    follow();
    expect(world.state).toMatchObject({ kind: 'failed', detail: 'Error: bad address' });
  });
});

describe('a job', () => {
  it('resumes at the revision of its last word and ends with a final state', () => {
    const told: unknown[] = [];
    followJob<{ revision: number; status: string }, { revision: number }>(
      'j1',
      { targets: (targets) => told.push(targets), job: (job) => told.push(job.status) },
      world.onState,
      world,
    );
    expect(at(world.last.url)).toBe('/api/v1/jobs/j1/stream?after_revision=0');
    world.last.onopen!();
    world.last.say({ type: 'targets', targets: [{ number: 1, revision: 4 }] });
    world.last.say({ type: 'job', job: { status: 'running', revision: 7 } });
    world.last.break();
    world.next();
    expect(at(world.last.url)).toBe('/api/v1/jobs/j1/stream?after_revision=7');
    world.last.onopen!();
    world.last.say({ type: 'job', job: { status: 'partial', revision: 9 } });
    world.last.break(1000);
    expect(world.state.kind).toBe('ended');
    expect(told).toEqual([[{ number: 1, revision: 4 }], 'running', 'partial']);
  });
});

describe('events', () => {
  it('resume behind the last one, with their filter, and say when something is missing', () => {
    const told: unknown[] = [];
    followEvents(
      { server: 's1' },
      { event: (event) => told.push(event.type), gap: () => told.push('gap') },
      world.onState,
      world,
    );
    expect(at(world.last.url)).toBe('/api/v1/events?server=s1');
    world.last.onopen!();
    world.last.say({ type: 'start', id: 11 });
    world.last.say({ type: 'agent.online', id: 12, server_id: 's1', data: {} });
    world.last.break(1012);
    world.next();
    expect(at(world.last.url)).toBe('/api/v1/events?server=s1&after=12');
    world.last.onopen!();
    world.last.say({ type: 'ping', id: 15 });
    world.last.break();
    world.next();
    expect(at(world.last.url)).toBe('/api/v1/events?server=s1&after=15');
    world.last.onopen!();
    world.last.say({ type: 'gap', from: '15', to: '90', reason: 'not_kept' });
    world.last.break();
    world.next();
    expect(at(world.last.url)).toBe('/api/v1/events?server=s1&after=90');
    expect(told).toEqual(['agent.online', 'gap']);
  });
});
