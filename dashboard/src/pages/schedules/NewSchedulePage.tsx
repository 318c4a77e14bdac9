import { Alert, Button, Group, Paper, Stack, TextInput, Title } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMay } from '@/api/session';
import type { Schedule } from '@/api/types';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';
import { prefilled } from '../run/RunPage';
import { toJob } from '../work/form';
import { HowFields } from '../work/HowFields';
import { useWorkForm } from '../work/useWorkForm';
import { WhatFields } from '../work/WhatFields';
import { WhereFields } from '../work/WhereFields';
import { ownZone, TimeFields, type When } from './TimeFields';

type Search = Partial<Record<string, string>>;

/** A new schedule: when, what, where. */
export function NewSchedulePage() {
  const { t } = useTranslation('work');
  const navigate = useNavigate();
  const { validate, ...bound } = useWorkForm(prefilled(useSearch({ strict: false }) as Search));
  const [name, setName] = useState('');
  const [when, setWhen] = useState<When>({ cron: '30 2 * * *', timeZone: ownZone(), missed: 'skip', overlap: 'skip' });
  const keyOf = useIdempotencyKey();
  const { busy, error, attempt } = useAttempt();
  if (!useMay('operator')) {
    return (
      <Page title={t('schedule.new')}>
        <EmptyState title={t('run.forbidden.title')} text={t('run.forbidden.text')} />
      </Page>
    );
  }
  const add = async () => {
    if (!validate()) return;
    const { expected_targets_sha256: _, ...job } = toJob(bound.form);
    const body = {
      name: name.trim(),
      cron: when.cron.trim(),
      time_zone: when.timeZone,
      missed: when.missed,
      overlap: when.overlap,
      work: { job },
    };
    await attempt(async () => {
      const made = await request<Schedule>('POST', '/schedules', { body, headers: keyOf(body) });
      await navigate({ to: '/schedules/$schedule', params: { schedule: made.name } as never });
    });
  };
  return (
    <Page title={t('schedule.new')} description={t('schedule.about')}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void add();
        }}
      >
        <Stack gap="md">
          <Paper withBorder p="md">
            <Stack gap="sm">
              <Title order={2} size="h5">
                {t('schedule.when')}
              </Title>
              <TextInput
                label={t('schedule.name')}
                value={name}
                onChange={(event) => setName(event.currentTarget.value)}
                placeholder="nightly"
                required
              />
              <TimeFields when={when} onChange={setWhen} />
            </Stack>
          </Paper>
          <Paper withBorder p="md">
            <Stack gap="sm">
              <Title order={2} size="h5">
                {t('run.what')}
              </Title>
              <WhatFields {...bound} />
            </Stack>
          </Paper>
          <Paper withBorder p="md">
            <Stack gap="sm">
              <Title order={2} size="h5">
                {t('run.where')}
              </Title>
              <WhereFields {...bound} />
              <HowFields {...bound} />
            </Stack>
          </Paper>
          <Alert color="blue" variant="light">
            {t('schedule.authority')}
          </Alert>
          <ErrorNote error={error} />
          <Group>
            <Button type="submit" loading={busy}>
              {t('schedule.add')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Page>
  );
}
