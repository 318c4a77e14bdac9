// @vitest-environment node
import { expect, it } from 'vitest';

import { BadFrame, logFrame, outputFrame } from './frames';

const bytes = (...all: number[]) => Uint8Array.from(all).buffer;

it('reads a frame of a log', () => {
  const frame = logFrame(bytes(2, 0, 0, 0, 1, 0, 0, 0, 5, 104, 105));
  expect(frame.stream).toBe(2);
  expect(frame.offset).toBe(4_294_967_301);
  expect([...frame.data]).toEqual([104, 105]);
});

it("reads a frame of a job's target", () => {
  const frame = outputFrame(bytes(1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 9, 33));
  expect({ ...frame, data: [...frame.data] }).toEqual({ stream: 1, number: 258, offset: 9, data: [33] });
});

it('takes nothing else for a frame', () => {
  expect(() => logFrame(bytes(1, 0, 0))).toThrow(BadFrame);
  expect(() => logFrame(bytes(3, 0, 0, 0, 0, 0, 0, 0, 0))).toThrow(BadFrame);
  expect(() => logFrame(bytes(1, 255, 0, 0, 0, 0, 0, 0, 0))).toThrow(BadFrame);
  expect(() => outputFrame(bytes(1, 0, 0, 0, 1))).toThrow(BadFrame);
});
