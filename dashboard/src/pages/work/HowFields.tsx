import { SimpleGrid } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { type Bound, Choice, Field } from './fields';
import { Folded } from './WhatFields';

const OFFLINE = ['fail', 'skip', 'queue'] as const;
const LOCKS = ['none', 'shared', 'exclusive'] as const;

/** In which order, how many at once, and what stops it. */
export function HowFields(bound: Bound) {
  const { t } = useTranslation('work');
  const { form } = bound;
  const rollout = [form.batches, form.batchLabel, form.batchPause, form.canary, form.soak, form.maxUnreachable];
  const isCommand = form.what === 'shell' || form.what === 'program';
  const limits = [form.queueTimeout, form.noOutputTimeout, form.connectTimeout, form.deadline];
  return (
    <>
      <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
        <Field {...bound} name="concurrency" hint placeholder="50" />
        <Field {...bound} name="maxFailed" hint />
        <Field {...bound} name="timeout" hint placeholder="24h" />
        <Choice {...bound} name="offline" values={OFFLINE} texts="offline" hint />
      </SimpleGrid>
      <Folded title={t('form.more_rollout')} opened={rollout.some((text) => text !== '')}>
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
          <Field {...bound} name="canary" hint />
          <Field {...bound} name="soak" hint placeholder="5m" />
          <Field {...bound} name="batches" hint placeholder="10%, 25%" />
          <Field {...bound} name="batchLabel" hint placeholder="rack" />
          <Field {...bound} name="batchPause" hint placeholder="1m" />
          <Field {...bound} name="maxUnreachable" hint />
        </SimpleGrid>
      </Folded>
      <Folded
        title={t('form.more_limits')}
        opened={form.lock !== 'none' || limits.some((text) => text !== '') || form.name !== ''}
      >
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
          <Field {...bound} name="name" hint />
          <Choice {...bound} name="lock" values={LOCKS} texts="lock" hint />
          <Field {...bound} name="queueTimeout" hint placeholder="1h" />
          <Field {...bound} name="noOutputTimeout" hint />
          {isCommand && <Field {...bound} name="connectTimeout" hint placeholder="5m" />}
          <Field {...bound} name="deadline" hint placeholder="24h" />
        </SimpleGrid>
      </Folded>
    </>
  );
}
