// @vitest-environment node
import { describe, expect, it } from 'vitest';

import { Filter } from './filter';
import { HARMFUL, HARMLESS } from './corpus';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const latin = (text: string) => Uint8Array.from(text, (one) => one.charCodeAt(0));

function filtered(data: Uint8Array, size = data.length): string {
  const filter = new Filter();
  const parts: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += size) parts.push(filter.take(data.subarray(at, at + size)).slice());
  return decoder.decode(Uint8Array.from(parts.flatMap((part) => [...part])));
}

describe('what is harmful', () => {
  it.each(HARMFUL)('$name leaves the text around it and nothing else', ({ bytes, left }) => {
    const data = latin(`before ${bytes} after`);
    expect(filtered(data)).toBe(left === undefined ? 'before  after' : `before ${left} after`);
  });

  it.each(HARMFUL)('$name is harmless byte by byte too', ({ bytes, left }) => {
    const data = latin(`before ${bytes} after`);
    expect(filtered(data, 1)).toBe(left === undefined ? 'before  after' : `before ${left} after`);
  });
});

describe('what is harmless', () => {
  it.each(HARMLESS)('$name passes as it is, whole and in pieces', ({ text }) => {
    const data = encoder.encode(text);
    for (const size of [data.length, 1, 2, 3]) expect(filtered(data, size)).toBe(text);
  });
});

describe('control strings that have no end', () => {
  it('end with the line, so that no later output is hidden', () => {
    expect(filtered(latin('a\x1b]0;title\nnext line'))).toBe('a\nnext line');
  });

  it('end after 64 KiB', () => {
    const shown = filtered(latin(`a\x1bP${'x'.repeat(100_000)}`));
    expect(shown.length).toBeGreaterThan(30_000);
  });
});

describe('text that is none', () => {
  it('shows each byte that is no UTF-8 as U+FFFD', () => {
    expect(filtered(latin('a\xff\xfeb\xe4\xb8c'))).toBe('a\ufffd\ufffdb\ufffdc');
  });

  it('shows overlong forms and halves of surrogate pairs as U+FFFD', () => {
    expect(filtered(latin('\xe0\x80\xaf\xed\xa0\x80'))).toBe('\ufffd\ufffd');
  });

  it('keeps a few marks upon a character and drops a flood of them', () => {
    expect(filtered(encoder.encode(`e${'\u0301'.repeat(100_000)}x`))).toBe(`e${'\u0301'.repeat(8)}x`);
  });
});

it('takes any bytes without losing its way', () => {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 300; round += 1) {
    const alphabet = round % 2 === 0 ? 256 : 0;
    const bytes = Uint8Array.from({ length: 400 }, () =>
      alphabet > 0 ? Math.floor(random() * 256) : '\x1b[]P;:?>0123456789mHJKABC\\\x07\n\r(X'.charCodeAt(Math.floor(random() * 33)),
    );
    const whole = filtered(bytes);
    expect(filtered(bytes, 7)).toBe(whole);
    expect(whole.replace(/\x1b\[[\d;:]*[ABCDEFGHJKX`Padefmsu@]|\x1b[78DEM]/g, '')).not.toMatch(/[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f]/);
  }
});
