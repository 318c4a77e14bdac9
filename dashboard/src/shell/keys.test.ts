import { describe, expect, it } from 'vitest';
import { meaningOf } from './keys';
import { ENTRIES } from './navigation';

function press(key: string, pending = false, more: object = {}) {
  return meaningOf({ key, ctrlKey: false, metaKey: false, altKey: false, target: null, ...more }, pending, ENTRIES);
}

describe('keys', () => {
  it('lead to pages after a g', () => {
    expect(press('g')).toEqual({ kind: 'pending' });
    expect(press('s', true)).toEqual({ kind: 'go', to: '/servers' });
    expect(press('s')).toEqual({ kind: 'none' });
    expect(press('ö', true)).toEqual({ kind: 'none' });
  });

  it('mean nothing while somebody types', () => {
    const input = document.createElement('input');
    expect(press('?', false, { target: input })).toEqual({ kind: 'none' });
    expect(press('/', false, { target: document.body })).toEqual({ kind: 'filter' });
  });

  it('are left to the browser together with Ctrl', () => {
    expect(press('g', false, { ctrlKey: true })).toEqual({ kind: 'none' });
  });

  it('are different for each page', () => {
    expect(new Set(ENTRIES.map((entry) => entry.key)).size).toBe(ENTRIES.length);
  });
});
