import { Button, Modal, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { usePolling } from '@/api/live';
import { useMay } from '@/api/session';
import type { Schedule } from '@/api/types';
import { Confirm } from '@/ui/Confirm';
import { ErrorNote } from '@/ui/ErrorNote';
import { FactList } from '@/ui/Facts';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import { useAttempt } from '@/ui/useAttempt';
import { WorkFacts } from '../work/WorkFacts';
import { Fires } from './Fires';
import { contentOf, scheduledPlace } from './scheduled';
import { NextTimes, TimeFields, type When } from './TimeFields';

/** One schedule: when it fires next, what it starts, what became of each of its times. */
export function SchedulePage() {
  const { schedule: name } = useParams({ strict: false }) as { schedule: string };
  const { t } = useTranslation('work');
  const polling = usePolling(5);
  const query = useQuery({
    queryKey: ['schedules', 'one', name],
    queryFn: ({ signal }) => request<Schedule>('GET', `/schedules/${encodeURIComponent(name)}`, { signal }),
    refetchInterval: polling,
  });
  const schedule = query.data;
  if (schedule === undefined) {
    return (
      <Page title={name}>
        {query.error ? <ErrorNote error={query.error} onRetry={() => void query.refetch()} /> : <Skeleton h={300} />}
      </Page>
    );
  }
  return (
    <Page
      title={schedule.name}
      aside={<StateBadge state={schedule.paused ? 'paused' : 'enabled'} plain />}
      actions={<ScheduleActions schedule={schedule} />}
    >
      <ErrorNote error={query.error} />
      {schedule.paused ? (
        <Text size="sm">{t('schedule.paused')}</Text>
      ) : (
        <NextTimes times={schedule.next_times} zone={schedule.time_zone} />
      )}
      <FactList
        items={[
          [t('schedule.cron'), <code key="c">{schedule.cron}</code>],
          [t('schedule.zone'), schedule.time_zone || 'UTC'],
          [t('run.where'), scheduledPlace(schedule.work)],
          [t('schedule.missed'), t(`missed.${schedule.missed}`)],
          [t('schedule.overlap'), t(`overlap.${schedule.overlap}`)],
          [t('schedule.owner'), schedule.owner],
          [t('schedule.updated'), <Time key="u" at={schedule.updated_at} />],
        ]}
      />
      <section aria-label={t('run.what')}>
        <Title order={2} size="h5" mb="xs">
          {t('run.what')}
        </Title>
        <WorkFacts work={contentOf(schedule.work)} />
      </section>
      <Fires schedule={schedule} />
    </Page>
  );
}

function ScheduleActions({ schedule }: { schedule: Schedule }) {
  const { t } = useTranslation('work');
  const queries = useQueryClient();
  const navigate = useNavigate();
  const may = useMay('operator');
  const [dialog, setDialog] = useState<'edit' | 'remove' | null>(null);
  const { busy, error, attempt } = useAttempt();
  if (!may) return null;
  const change = async (body: Record<string, unknown>, etag = schedule.etag) => {
    await request<Schedule>('PATCH', `/schedules/${schedule.id}`, { body, headers: { 'If-Match': `"${etag}"` } });
    await queries.invalidateQueries({ queryKey: ['schedules'] });
  };
  const pause = async () => {
    const isDone = await attempt(() => change({ paused: !schedule.paused }));
    if (!isDone) await queries.invalidateQueries({ queryKey: ['schedules'] });
  };
  return (
    <>
      <Button variant="default" loading={busy} onClick={() => void pause()}>
        {t(schedule.paused ? 'action.resume' : 'action.pause')}
      </Button>
      <Button variant="default" onClick={() => setDialog('edit')}>
        {t('schedule.edit')}
      </Button>
      <Button color="red" variant="outline" onClick={() => setDialog('remove')}>
        {t('action.remove')}
      </Button>
      <ErrorNote error={error} />
      {dialog === 'edit' && <EditTimes schedule={schedule} onSave={change} onClose={() => setDialog(null)} />}
      <Confirm
        opened={dialog === 'remove'}
        onClose={() => setDialog(null)}
        title={t('schedule.remove_title', { name: schedule.name })}
        action={t('action.remove')}
        danger
        onConfirm={async () => {
          await request('DELETE', `/schedules/${schedule.id}`);
          void queries.invalidateQueries({ queryKey: ['schedules', 'list'] });
          void navigate({ to: '/schedules' });
        }}
      >
        {t('schedule.remove_text')}
      </Confirm>
    </>
  );
}

interface EditTimesProps {
  schedule: Schedule;
  onSave: (body: Record<string, unknown>, etag: string) => Promise<void>;
  onClose: () => void;
}

function EditTimes({ schedule, onSave, onClose }: EditTimesProps) {
  const { t } = useTranslation('work');
  const [when, setWhen] = useState<When>({
    cron: schedule.cron,
    timeZone: schedule.time_zone || 'UTC',
    missed: schedule.missed,
    overlap: schedule.overlap,
  });
  // Of the state that is shown here, whatever the page behind learns meanwhile.
  const [etag] = useState(schedule.etag);
  const { busy, error, attempt } = useAttempt();
  const save = () =>
    attempt(async () => {
      await onSave(
        { cron: when.cron.trim(), time_zone: when.timeZone, missed: when.missed, overlap: when.overlap },
        etag,
      );
      onClose();
    });
  return (
    <Modal opened onClose={onClose} title={t('schedule.edit')} size="lg">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Stack>
          <TimeFields when={when} onChange={setWhen} />
          <Text size="sm" c="dimmed">
            {t('schedule.authority_edit')}
          </Text>
          <ErrorNote error={error} />
          <Button type="submit" loading={busy}>
            {t('action.save')}
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}
