// @vitest-environment node
import { expect, it } from 'vitest';

import { Colours } from './colours';

function after(...sequences: string[]): string {
  const colours = new Colours();
  for (const one of sequences) colours.apply(one);
  return colours.text();
}

it('keeps what is on, drops what was turned off, forgets all at a reset', () => {
  expect(after('1;31', '4', '44')).toBe('0;1;4;31;44');
  expect(after('1;31', '22')).toBe('0;31');
  expect(after('1;31', '39;49')).toBe('0;1');
  expect(after('1;31', '')).toBe('0');
  expect(after('1;31', '0;32')).toBe('0;32');
});

it('takes long colours in both spellings', () => {
  expect(after('38;5;208;1')).toBe('0;1;38;5;208');
  expect(after('48;2;1;2;3;4')).toBe('0;4;48;2;1;2;3');
  expect(after('38:2::1:2:3;4:3')).toBe('0;4:3;38:2::1:2:3');
});

it('holds no more than a screen needs, whatever comes', () => {
  const colours = new Colours();
  for (let number = 0; number < 5000; number += 1) colours.apply(`38;2;${number};1;1;${(number % 9) + 1};7`);
  expect(colours.text().length).toBeLessThan(80);
});
