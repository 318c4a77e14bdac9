// @vitest-environment node
import { expect, it } from 'vitest';

import { Painter } from './painter';

const encoder = new TextEncoder();

function painted(painter: Painter, ...chunks: [number, string][]): string {
  const parts = chunks.flatMap(([stream, text]) => painter.take(stream, encoder.encode(text)));
  return parts.map((part) => new TextDecoder().decode(part)).join('');
}

it('gives what stderr leaves to the terminal a colour of its own, and no other', () => {
  const text = painted(new Painter(true), [1, 'out'], [2, 'err \x1b[32mgreen\x1b[0m plain'], [1, 'out']);
  expect(text).toBe(
    '\x1b[0mout\x1b[0;38;5;209merr \x1b[32mgreen\x1b[0;38;5;209m plain\x1b[0mout',
  );
});

it('changes no colour when the streams are not told apart', () => {
  expect(painted(new Painter(false), [1, 'out'], [2, 'err'])).toBe('\x1b[0mout\x1b[0merr');
});

it('lets each stream go on in its own colours', () => {
  const text = painted(new Painter(true), [1, '\x1b[31mred'], [2, 'err'], [1, ' still red']);
  expect(text).toBe('\x1b[0m\x1b[31mred\x1b[0;38;5;209merr\x1b[0;31m still red');
});

it('keeps a character apart that the other stream came into the middle of', () => {
  const painter = new Painter(false);
  const [first, second, third] = encoder.encode('世');
  const parts = [
    ...painter.take(1, Uint8Array.of(first!)),
    ...painter.take(2, encoder.encode('x')),
    ...painter.take(1, Uint8Array.of(second!, third!)),
  ];
  expect(parts.map((part) => new TextDecoder().decode(part)).join('')).toBe('\x1b[0mx\x1b[0m世');
});
