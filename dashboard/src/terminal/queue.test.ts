// @vitest-environment node
import { expect, it } from 'vitest';

import { WriteQueue } from './queue';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

class Bench {
  readonly written: Uint8Array[] = [];
  private readonly done: (() => void)[] = [];
  private readonly planned: (() => void)[] = [];
  readonly queue = new WriteQueue(
    { write: (data, done) => (this.written.push(data), this.done.push(done)) },
    {
      apart: false,
      skipped: (bytes) => `${bytes} bytes left out`,
      soon: (act) => {
        this.planned.push(act);
        return () => this.planned.splice(this.planned.indexOf(act), 1);
      },
    },
  );

  get plans(): number {
    return this.planned.length;
  }

  frame(): void {
    for (const act of this.planned.splice(0)) act();
  }

  finish(): void {
    for (const act of this.done.splice(0)) act();
  }

  all(): void {
    while (this.planned.length + this.done.length > 0) {
      this.frame();
      this.finish();
    }
  }

  push(text: string, offset = 0): void {
    this.queue.push({ stream: 1, offset, data: encoder.encode(text) });
  }

  text(): string {
    return this.written.map((part) => decoder.decode(part)).join('');
  }
}

it('joins what came since the last frame into one write, and never has two under way', () => {
  const bench = new Bench();
  bench.push('a');
  bench.push('b');
  expect(bench.plans).toBe(1);
  bench.frame();
  bench.push('c');
  expect(bench.plans).toBe(0);
  expect(bench.text()).toBe('\x1b[0mab');
  bench.finish();
  bench.all();
  expect(bench.text()).toBe('\x1b[0mabc');
});

it('writes a bounded part in one frame and all of it in the end', () => {
  const bench = new Bench();
  const text = 'x'.repeat(1_000_000);
  bench.push(text);
  bench.frame();
  expect(bench.written[0]!.length).toBeLessThan(110_000);
  bench.all();
  expect(bench.text()).toBe(`\x1b[0m${text}`);
  expect(bench.queue.waiting).toBe(0);
});

it('leaves the older part out when nobody paints, says how much, and stays bounded', () => {
  const bench = new Bench();
  const piece = encoder.encode('#'.repeat(262_144));
  for (let at = 0; at < 40; at += 1) {
    bench.queue.push({ stream: 1, offset: at * piece.length, data: piece });
    expect(bench.queue.waiting).toBeLessThanOrEqual(4 * 1024 * 1024);
  }
  bench.push('the end');
  bench.all();
  const told = /(\d+) bytes left out/.exec(bench.text());
  const shown = bench.text().split('#').length - 1;
  expect(Number(told![1]) + shown).toBe(40 * piece.length);
  expect(bench.text()).toMatch(/the end$/);
});

it('calls a mark when what came before it is on the screen, and before what follows', () => {
  const bench = new Bench();
  const seen: string[] = [];
  bench.push('a');
  bench.queue.mark(() => seen.push(bench.text()));
  bench.push('b');
  bench.all();
  expect(seen).toEqual(['\x1b[0ma']);
  expect(bench.text()).toBe('\x1b[0mab');
});

it('takes a notice for text, whatever it holds', () => {
  const bench = new Bench();
  bench.queue.notice('gap \x1b]0;x\x07');
  bench.all();
  expect(bench.text()).toBe('\x1b[0;7m gap  ]0;x  \x1b[0m\r\n');
});

it('writes nothing after its end', () => {
  const bench = new Bench();
  bench.push('a');
  bench.queue.close();
  bench.all();
  expect(bench.text()).toBe('');
});
