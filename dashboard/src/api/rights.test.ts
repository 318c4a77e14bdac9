import { describe, expect, it } from 'vitest';
import { entriesFor } from '@/shell/navigation';
import { holds, holdsEverywhere, selectorsOf, strongest } from './rights';
import type { Grant, Me } from './types';

function me(grants: Grant[], cap: Grant | null = null): Me {
  return { name: 'user:a', user: { id: '1', name: 'a', display_name: '' }, via: 'session', grants, cap };
}

describe('rights', () => {
  it('of a role include those below it', () => {
    const operator = me([{ role: 'operator', selector: 'role=web' }]);
    expect([holds(operator, 'viewer'), holds(operator, 'operator'), holds(operator, 'admin')]).toEqual([true, true, false]);
    expect(strongest(operator)).toBe('operator');
  });

  it('on some servers are none on what belongs to no server', () => {
    expect(holdsEverywhere(me([{ role: 'admin', selector: 'role=web' }]), 'admin')).toBe(false);
    expect(holdsEverywhere(me([{ role: 'admin', selector: 'all' }]), 'admin')).toBe(true);
  });

  it('on some servers are those of the grants that reach so far', () => {
    const both = me([
      { role: 'viewer', selector: 'all' },
      { role: 'operator', selector: 'env=prod' },
      { role: 'admin', selector: 'role=web' },
    ]);
    expect(selectorsOf(both, 'operator')).toEqual(['env=prod', 'role=web']);
    expect(selectorsOf(me([{ role: 'viewer', selector: 'all' }]), 'operator')).toEqual([]);
  });

  it('are never more than the cap of a token', () => {
    const capped = me([{ role: 'admin', selector: 'all' }], { role: 'viewer', selector: 'all' });
    expect([holds(capped, 'viewer'), holds(capped, 'operator'), holdsEverywhere(capped, 'admin')]).toEqual([true, false, false]);
  });

  it('of nobody are none', () => {
    expect(holds(undefined, 'viewer')).toBe(false);
    expect(strongest(me([]))).toBe(null);
  });
});

describe('the navigation', () => {
  it('offers a viewer of some servers neither running nor administration', () => {
    const names = entriesFor(me([{ role: 'viewer', selector: 'role=web' }])).map((entry) => entry.name);
    expect(names).toContain('servers');
    for (const name of ['run', 'users', 'audit', 'credentials']) expect(names).not.toContain(name);
  });
});
