import { Group, Skeleton } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useMay } from '@/api/session';
import type { Job } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { standingOf } from '@/ui/states';
import { Duration, Time } from '@/ui/Time';
import { titleOf } from '../work/describe';
import { JOB_STATES, StatusFilter, useStatuses } from '../work/StatusFilter';
import { useList } from '../work/useList';
import { JobProgress } from './counts';

/** All jobs, newest first. */
export function JobsPage() {
  const { t } = useTranslation('work');
  const [statuses, setStatuses] = useStatuses(JOB_STATES);
  const list = useList<Job>('jobs', { status: statuses });
  const run = useMay('operator') && <ButtonLink to="/run">{t('run.title')}</ButtonLink>;
  const columns = useColumns();
  return (
    <Page title={t('jobs.title')} description={t('jobs.about')} actions={run}>
      <Group align="flex-end">
        <StatusFilter known={JOB_STATES} value={statuses} onChange={setStatuses} />
      </Group>
      <ErrorNote error={list.error} onRetry={list.again} />
      {list.isPending ? (
        <Skeleton h={300} />
      ) : (
        <DataTable
          label={t('jobs.title')}
          rows={list.items}
          columns={columns}
          rowKey={(job) => job.id}
          onEnd={list.more}
          empty={
            !list.error && (
              <EmptyState title={t('jobs.empty.title')} text={t('jobs.empty.text')}>
                {run}
              </EmptyState>
            )
          }
        />
      )}
    </Page>
  );
}

function useColumns(): Column<Job>[] {
  const { t } = useTranslation('work');
  return [
    {
      key: 'name',
      header: t('column.job'),
      width: 'minmax(8rem, 2fr)',
      render: (job) => (
        <TextLink to="/jobs/$jobId" params={{ jobId: job.id }} size="sm">
          {job.name || titleOf(t, job.work)}
        </TextLink>
      ),
    },
    { key: 'state', header: t('column.state'), width: 'minmax(7rem, 0.8fr)', render: (job) => <StateBadge {...standingOf(job)} /> },
    {
      key: 'progress',
      header: t('column.progress'),
      width: 'minmax(5rem, 1fr)',
      render: (job) => <JobProgress counts={job.counts} total={job.target_count} />,
    },
    { key: 'targets', header: t('column.targets'), width: '5rem', align: 'right', wide: true, render: (job) => job.target_count },
    { key: 'where', header: t('column.where'), width: 'minmax(8rem, 1.4fr)', wide: true, render: (job) => <span title={job.selector}>{job.selector || t('job.named')}</span> },
    {
      key: 'took',
      header: t('column.took'),
      width: '6rem',
      align: 'right',
      wide: true,
      render: (job) => (job.started_at ? <Duration from={job.started_at} to={job.ended_at} /> : ''),
    },
    { key: 'by', header: t('column.by'), width: 'minmax(6rem, 0.8fr)', wide: true, render: (job) => job.requested_by },
    { key: 'created', header: t('column.created'), width: '7rem', wide: true, render: (job) => <Time at={job.created_at} /> },
  ];
}
