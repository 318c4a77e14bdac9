import i18next from 'i18next';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Command, Job } from '@/api/types';
import en from '@/i18n/en';
import zh from '@/i18n/zh-CN';
import { namesOf } from './causes';
import { sentenceKeys } from './problem';
import { nextOf } from './states';

const HAN = /[\u4e00-\u9fff]/;
const job = (part: object) =>
  ({ batch: 2, batch_count: 5, counts: { running: 3, waiting: 8 }, next: 'said', ...part }) as unknown as Job;

beforeAll(async () => {
  await i18next.init({ lng: 'zh-CN', resources: { en, 'zh-CN': zh } as never, defaultNS: 'states', interpolation: { escapeValue: false } });
});

function said(work: Command | Job, lng: string): string {
  const next = nextOf(work);
  return next === undefined ? '' : i18next.t(next.key, { ...next.values, lng });
}

describe('what happens next', () => {
  it.each(['pending', 'queued', 'running', 'cancelling'])('to work that is %s is told in both languages', (status) => {
    const work = { status, reason: 'agent_unreachable' } as Command;
    expect(said(work, 'en')).toMatch(/^[a-z].* .* /);
    expect(said(work, 'zh-CN')).toMatch(HAN);
  });

  it('to work that waits names what for', () => {
    const waits = (reason: string) => said({ status: 'queued', reason } as Command, 'en');
    expect(waits('agent_unreachable')).toContain('its agent to be back');
    expect(waits('lock_held')).toContain('the lock of its server');
    expect(waits('something new')).toContain('its turn');
  });

  it.each(['pending', 'running', 'paused', 'stopping', 'cancelling'])('to a job that is %s is told in both languages', (status) => {
    expect(said(job({ status }), 'en')).not.toMatch(/next_of|\{\{/);
    expect(said(job({ status }), 'zh-CN')).toMatch(HAN);
  });

  it('to a job has its numbers, and between two batches the time that the service says', () => {
    expect(said(job({ status: 'running' }), 'en')).toBe('3 under way, batch 2 of 5; 8 wait for their turn');
    expect(nextOf(job({ status: 'running', counts: { waiting: 8 } }))).toMatchObject({ key: 'next_of_job.between', said: 'said' });
  });

  it('is nothing once it is over', () => {
    expect(nextOf({ status: 'lost', reason: 'agent_gone' } as Command)).toBeUndefined();
  });
});

describe('a cause', () => {
  it('that a step met at the agent is told as that cause', () => {
    expect(namesOf('AGENT_HUNG')).toEqual(['agent_hung', 'hung']);
    expect(namesOf('no_way')).toEqual(['no_way']);
  });
});

describe('a reason', () => {
  it('has its own text, or that of its kind', () => {
    const told = (reason: string) => i18next.t(sentenceKeys(reason), { ns: 'errors', defaultValue: '' });
    expect(told('LOGIN_FAILED')).toBe('用户名或密码错误。');
    expect(told('LABEL_INVALID')).toBe('填写的内容有误。');
    expect(told('SOMETHING_ELSE')).toBe('');
  });
});
