// @vitest-environment node
import { describe, expect, it } from 'vitest';
import { splitLine } from './argv';
import { type CommandContent, commandLine, repeatOf, shortened } from './describe';
import { parseDuration } from './durations';
import { check, EMPTY, toJob, type WorkForm } from './form';

const form = (part: Partial<WorkForm>): WorkForm => ({ ...EMPTY, line: 'uptime', selector: 'all', ...part });

describe('lengths of time', () => {
  it.each([
    ['', null],
    ['0', 0],
    ['90', 90],
    ['5m', 300],
    ['1h30m', 5400],
    ['1.5 h', 5400],
    ['2 d 3 h', 183_600],
    ['10min', 600],
  ])('%j is %j s', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

  it.each(['x', '5x', '1 2', '5m3', '-1', 'm'])('%j is none', (text) => expect(parseDuration(text)).toBeNaN());
});

describe('a typed line', () => {
  it.each([
    ['echo hi', ['echo', 'hi']],
    ["  echo 'a b'  \"c d\" ", ['echo', 'a b', 'c d']],
    ['a\\ b "x\\"y" \'\'', ['a b', 'x"y', '']],
    ['printf $HOME *', ['printf', '$HOME', '*']],
    ['', []],
  ])('%j is %j', (line, words) => expect(splitLine(line)).toEqual(words));

  it('is none with an open quote', () => expect(splitLine("echo 'a")).toBeNull());

  it('reads as it was typed', () => {
    expect(commandLine('sh', ['-c', 'a | b'])).toBe('a | b');
    expect(commandLine('echo', ["it's", 'x'])).toBe("echo 'it'\\''s' x");
    expect(shortened('one\ntwo')).toBe('one…');
  });
});

it('can be run again as it was', () => {
  const command = { command: 'sh', args: ['-c', 'a | b'], env: { A: '1', B: '2' }, cwd: '/srv', user: '' } as unknown as CommandContent;
  expect(repeatOf(command, 'web-1')).toEqual({ what: 'shell', line: 'a | b', servers: 'web-1', cwd: '/srv', user: '', env: 'A=1\nB=2' });
  expect(repeatOf({ ...command, args: ['script'] }, 'web-1')).toMatchObject({ what: 'program', line: 'sh script' });
});

describe('a form', () => {
  it('becomes a job', () => {
    const job = toJob(
      form({ concurrency: '10%', batches: '1, 25%', canary: '1', soak: '5m', maxFailed: '0', stdin: 'ä', env: 'A=b=c\n\nD=' }),
      'f'.repeat(64),
    );
    expect(job).toMatchObject({
      selector: 'all',
      expected_targets_sha256: 'f'.repeat(64),
      work: {
        command: { command: 'sh', args: ['-c', 'uptime'], env: { A: 'b=c', D: '' }, stdin: 'w6Q=', offline: 'fail', timeout_s: null },
        deployment: null,
      },
      options: { concurrency: '10%', batches: ['1', '25%'], canary: '1', canary_soak_s: 300, max_failed: '0', max_unreachable: null },
    });
    expect(job).not.toHaveProperty('servers');
  });

  it('becomes a playbook on named servers', () => {
    const job = toJob(
      form({
        ...{ what: 'playbook', playbook: 'site/sub/web.yml', extraVars: '{"a": 1}', where: 'servers', servers: ['x'] },
        ...{ tags: 'a b', check: true, noOutputTimeout: '5m' },
      }),
    );
    expect(job).toMatchObject({
      servers: ['x'],
      work: {
        command: null,
        deployment: {
          ...{ kind: 'playbook', project: 'site', playbook: 'sub/web.yml', extra_vars: { a: 1 }, tags: ['a', 'b'] },
          ...{ check: true, no_output_timeout_s: 300 },
        },
      },
    });
    expect(job).not.toHaveProperty('selector');
  });

  it.each<[Partial<WorkForm>, keyof WorkForm]>([
    [{ line: ' ' }, 'line'],
    [{ what: 'program', line: '"a' }, 'line'],
    [{ selector: '' }, 'selector'],
    [{ where: 'servers' }, 'servers'],
    [{ env: 'novalue' }, 'env'],
    [{ what: 'playbook', playbook: 'x' }, 'playbook'],
    [{ what: 'deployment', extraVars: '[1]' }, 'extraVars'],
    [{ timeout: 'soon' }, 'timeout'],
    [{ concurrency: '0' }, 'concurrency'],
    [{ maxFailed: 'x' }, 'maxFailed'],
    [{ batches: '1,,x' }, 'batches'],
    [{ batches: '1', batchLabel: 'rack' }, 'batchLabel'],
  ])('with %j is wrong in %s', (part, field) => expect(Object.keys(check(form(part)))).toEqual([field]));

  it('that is right has nothing wrong', () => expect(check(form({ maxFailed: '0', canary: '5%' }))).toEqual({}));
});
