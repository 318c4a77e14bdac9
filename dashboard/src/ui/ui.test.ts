import { describe, expect, it } from 'vitest';
import { innerAddress } from '@/pages/login/address';
import { parseLabels, formatLabels, requestOf, EMPTY } from '@/pages/servers/newServer';
import { browserOf } from '@/pages/sessions/browser';
import { nounsOf } from '@/api/refresher';
import type { AuditEntry } from '@/api/types';
import { headOf, onWhat } from '@/pages/audit/entry';
import { mayRenew } from '@/shell/renewal';
import { bandPath, linePath, nearest, niceTop, runs } from './chart';
import { inOrder } from './DataTable';
import { bytes, duration, percent, relativeTime } from './format';
import { titleKey } from './problem';
import { parseSearch, stringifySearch } from './useUrlState';

describe('format', () => {
  it('tells durations by their two largest units', () => {
    expect([0.031, 2.5, 75, 3600, 93_784].map((one) => duration(one, 'en'))).toEqual([
      '31 ms',
      '2.5 sec',
      '1 min 15 sec',
      '1 hr',
      '1 day 2 hr',
    ]);
  });

  it('tells sizes in binary units', () => {
    expect([0, 1023, 1536, 5 * 2 ** 30].map((one) => bytes(one, 'en'))).toEqual(['0 B', '1,023 B', '1.5 KiB', '5 GiB']);
  });

  it('tells small parts more exactly', () => {
    expect([0.0123, 0.5].map((one) => percent(one, 'en'))).toEqual(['1.2%', '50%']);
  });

  it('tells times in the language of the reader', () => {
    const now = Date.parse('2026-01-01T12:00:00Z');
    expect(relativeTime(now - 7_200_000, now, 'en')).toBe('2 hr. ago');
    expect(relativeTime(now - 7_200_000, now, 'zh-CN')).toBe('2小时前');
  });
});

describe('addresses', () => {
  it('keep selectors readable', () => {
    expect(parseSearch('?selector=env%3Dprod&tab=facts')).toEqual({ selector: 'env=prod', tab: 'facts' });
    expect(stringifySearch({ selector: 'a=1', empty: '', none: undefined })).toBe('?selector=a%3D1');
    expect(stringifySearch({})).toBe('');
  });

  it('of the login lead nowhere else', () => {
    const evil = ['//example.org', 'https://example.org', '/\\example.org', 'javascript:alert(1)', '/login?next=/x'];
    expect(evil.map(innerAddress)).toEqual(['/', '/', '/', '/', '/']);
    expect(innerAddress('/servers?selector=a%3D1')).toBe('/servers?selector=a%3D1');
  });
});

describe('a new server', () => {
  it('has labels one a line or by commas', () => {
    expect(parseLabels('env=prod, role=web\nspare\n a = b=c ')).toEqual({ env: 'prod', role: 'web', spare: '', a: 'b=c' });
    expect(parseLabels(formatLabels({ env: 'prod', spare: '' }))).toEqual({ env: 'prod', spare: '' });
  });

  it('sends only the secret of the login that was chosen', () => {
    const fields = { ...EMPTY, name: 'a', address: 'h', key: ' KEY ', password: 'typed before', shared: 'x' };
    expect(requestOf({ ...fields, login: 'key' })).toMatchObject({ credential: { private_key: 'KEY\n' } });
    expect(JSON.stringify(requestOf({ ...fields, login: 'key' }))).not.toContain('typed before');
    expect(requestOf({ ...fields, login: 'shared' })).not.toHaveProperty('credential');
  });
});

describe('a chart', () => {
  const frame = { from: 0, to: 100, top: 10, width: 100, height: 50 };
  const sample = (at: number, mean: number) => ({ at, min: mean - 1, mean, max: mean + 1 });

  it('shows a hole where nothing was measured', () => {
    const found = runs([sample(0, 1), sample(10, 1), sample(40, 1)], 10);
    expect(found.map((run) => run.length)).toEqual([2, 1]);
  });

  it('draws from the left and upwards', () => {
    expect(linePath(frame, [sample(0, 0), sample(50, 10)])).toBe('M0.0 50.0L50.0 0.0');
    expect(bandPath(frame, [sample(0, 5)])).toBe('M0.0 20.0L0.0 30.0Z');
  });

  it('ends at a round number', () => {
    expect([niceTop([3.2], 1), niceTop([], 1), niceTop([0.021], 0.001)]).toEqual([5, 1, 0.025]);
  });

  it('tells the value that is pointed at', () => {
    expect(nearest([sample(0, 1), sample(10, 2)], 7)?.mean).toBe(2);
    expect(nearest([], 7)).toBeUndefined();
  });
});

describe('a table', () => {
  const columns = [{ key: 'n', header: '', render: () => null, sort: (row: { n: number }) => row.n }];
  it('is sorted by a column, either way, and as it came without one', () => {
    const rows = [{ n: 2 }, { n: 10 }, { n: 1 }];
    expect(inOrder(rows, columns, { key: 'n', down: false }).map((row) => row.n)).toEqual([1, 2, 10]);
    expect(inOrder(rows, columns, { key: 'n', down: true }).map((row) => row.n)).toEqual([10, 2, 1]);
    expect(inOrder(rows, columns, null)).toBe(rows);
  });
});

describe('events', () => {
  it('make old what they are about', () => {
    expect(nounsOf('agent.offline')).toEqual(['servers', 'status']);
    expect(nounsOf('job.finished')).toEqual(['jobs']);
    expect(nounsOf('start')).toEqual([]);
  });
});

describe('a page that is older than the gateway', () => {
  it('is loaded anew once, and not over and over', () => {
    expect([mayRenew(null, 1e6), mayRenew('990000', 1e6), mayRenew('900000', 1e6)]).toEqual([true, false, true]);
  });
});

describe('browsers', () => {
  it('are named by what they say of themselves', () => {
    expect(browserOf('Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0')).toBe('Firefox · Linux');
    expect(browserOf('something')).toBe('');
  });
});

describe('a problem', () => {
  it('is a race only where somebody was quicker', () => {
    expect([titleKey(412, 'ETAG_MISMATCH'), titleKey(422, 'REQUEST_ID_REUSED'), titleKey(409, 'JOB_BUSY')]).toEqual([
      'conflict',
      'conflict',
      'conflict',
    ]);
    expect([titleKey(409, 'SSH_UNREACHABLE'), titleKey(409, 'SERVER_NAME_TAKEN')]).toEqual(['', '']);
    expect([titleKey(404, 'SERVER_NOT_FOUND'), titleKey(undefined, 'UNEXPECTED')]).toEqual(['not_found', 'unexpected']);
  });
});

describe('an entry of the audit trail', () => {
  const id = '01890a5d-ac96-774b-bcce-b302099a8057';
  const entry = (operation: string, targets: string[], resource: string, details: Record<string, unknown>) =>
    onWhat({ operation, targets, resource, details } as AuditEntry);

  it('names what it was done on where it can', () => {
    expect(entry('commands.run', [id], '', { server: 'web-1' })).toBe('web-1');
    expect(entry('servers.update', [id], '', { name: 'web-1' })).toBe('web-1');
    expect(entry('jobs.create', [id], id, { name: 'nightly' })).toBe(`${id}, nightly`);
    expect(entry('users.create', ['alice'], id, { name: 'alice' })).toBe('alice');
    expect(entry('commands.cancel', ['web-1'], id, {})).toBe(`web-1, ${id}`);
  });

  it('gives its head as the command line takes it', () => {
    expect(headOf({ head_seq: 88, head_hash: '623c' })).toBe('88:623c');
  });
});
