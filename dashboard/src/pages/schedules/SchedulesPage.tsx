import { Skeleton, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useMay } from '@/api/session';
import type { Schedule } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import { useList } from '../work/useList';
import { outcomeOf, scheduledPlace, scheduledTitle } from './scheduled';

/** All schedules. */
export function SchedulesPage() {
  const { t } = useTranslation('work');
  const list = useList<Schedule>('schedules', {});
  const add = useMay('operator') && <ButtonLink to="/schedules/new">{t('schedule.new')}</ButtonLink>;
  const columns: Column<Schedule>[] = [
    {
      key: 'name',
      header: t('schedule.name'),
      width: 'minmax(7rem, 1.2fr)',
      sort: (row) => row.name,
      render: (row) => (
        <TextLink to="/schedules/$schedule" params={{ schedule: row.name }} size="sm">
          {row.name}
        </TextLink>
      ),
    },
    {
      key: 'next',
      header: t('schedule.next_time'),
      width: 'minmax(6rem, 1fr)',
      sort: (row) => row.next_times[0] ?? '',
      render: (row) => (row.paused ? <StateBadge state="paused" /> : <Time at={row.next_times[0]} />),
    },
    {
      key: 'last',
      header: t('schedule.last'),
      width: 'minmax(7rem, 1fr)',
      render: (row) => row.last_fire && <StateBadge {...outcomeOf(row.last_fire)} />,
    },
    {
      key: 'cron',
      header: t('schedule.cron'),
      width: 'minmax(8rem, 1fr)',
      wide: true,
      render: (row) => (
        <Text span ff="monospace" size="sm">
          {row.cron}
        </Text>
      ),
    },
    { key: 'zone', header: t('schedule.zone'), width: 'minmax(6rem, 0.8fr)', wide: true, render: (row) => row.time_zone || 'UTC' },
    { key: 'what', header: t('run.what'), width: 'minmax(8rem, 2fr)', wide: true, render: (row) => scheduledTitle(t, row.work) },
    { key: 'where', header: t('run.where'), width: 'minmax(8rem, 1.4fr)', wide: true, render: (row) => <span title={scheduledPlace(row.work)}>{scheduledPlace(row.work)}</span> },
    { key: 'owner', header: t('schedule.owner'), width: 'minmax(6rem, 0.8fr)', wide: true, render: (row) => row.owner },
  ];
  return (
    <Page title={t('schedules.title')} description={t('schedules.about')} actions={add}>
      <ErrorNote error={list.error} onRetry={list.again} />
      {list.isPending ? (
        <Skeleton h={300} />
      ) : (
        <DataTable
          label={t('schedules.title')}
          rows={list.items}
          columns={columns}
          rowKey={(row) => row.id}
          onEnd={list.more}
          empty={
            !list.error && (
              <EmptyState title={t('schedules.empty.title')} text={t('schedules.empty.text')}>
                {add}
              </EmptyState>
            )
          }
        />
      )}
    </Page>
  );
}
