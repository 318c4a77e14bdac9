// @vitest-environment node
import { expect, it } from 'vitest';
import { rowsOf } from './play';

const events = [
  { type: 'play_started', play: 'Deploy' },
  { type: 'task_started', play: 'Deploy', task: 'copy', role: 'files' },
  { type: 'task_result', task: 'copy', status: 'changed', duration_s: 0.5, message: 'done' },
  { type: 'task_started', play: 'Deploy', task: 'loop', role: '' },
  { type: 'task_result', task: 'loop', status: 'ok', item: 'one' },
].map((event, index) => ({ seq: index + 1, event }));

it('has a row for each result, and one for what is under way', () => {
  const rows = rowsOf(events);
  expect(rows.map((row) => [row.task, row.status, row.item, row.role])).toEqual([
    ['copy', 'changed', '', 'files'],
    ['loop', 'ok', 'one', ''],
    ['loop', 'running', '', ''],
  ]);
  expect(rows[0]).toMatchObject({ play: 'Deploy', durationS: 0.5, message: 'done' });
});

it('has nothing under way behind the recap, and takes what it does not know for nothing', () => {
  const ended = [...events, { seq: 6, event: { type: 'recap', hosts: {} } }, { seq: 7, event: { type: 'new' } }];
  expect(rowsOf(ended).at(-1)).toMatchObject({ task: 'loop', status: 'ok' });
  expect(rowsOf([{ seq: 1, event: { type: 'task_result', item: { a: 1 } } }])[0]).toMatchObject({ item: '{"a":1}', task: '' });
});
