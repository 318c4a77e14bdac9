import { Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Schedule } from '@/api/types';
import { useCauses } from '@/ui/causes';
import { type Column, DataTable } from '@/ui/DataTable';
import { ErrorNote } from '@/ui/ErrorNote';
import { TextLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import { useList } from '../work/useList';
import { type Fire, outcomeOf } from './scheduled';


/** What became of each time of a schedule, and why. */
export function Fires({ schedule }: { schedule: Schedule }) {
  const { t } = useTranslation('work');
  const causeOf = useCauses();
  const list = useList<Fire>(`schedules/${schedule.id}/fires`, {});
  const columns: Column<Fire>[] = [
    { key: 'time', header: t('fires.time'), width: 'minmax(9rem, 1fr)', render: (row) => <Time at={row.slot_at} absolute /> },
    { key: 'outcome', header: t('fires.outcome'), width: 'minmax(7rem, 0.7fr)', render: (row) => <StateBadge {...outcomeOf(row)} /> },
    { key: 'started', header: t('fires.started'), width: 'minmax(6rem, 0.8fr)', render: (row) => <Started fire={row} /> },
    {
      key: 'why',
      header: t('fires.why'),
      width: 'minmax(8rem, 2fr)',
      wide: true,
      render: (row) => <span title={row.message}>{row.reason ? causeOf(row.reason) : row.message}</span>,
    },
  ];
  return (
    <section aria-label={t('fires.title')}>
      <Title order={2} size="h5" mb="xs">
        {t('fires.title')}
      </Title>
      <ErrorNote error={list.error} />
      <DataTable
        label={t('fires.title')}
        rows={list.items}
        columns={columns}
        rowKey={(row) => `${row.slot_at}:${row.started_id}`}
        rowHeight={34}
        onEnd={list.more}
        empty={<Text c="dimmed">{t('fires.empty')}</Text>}
      />
    </section>
  );
}

function Started({ fire }: { fire: Fire }) {
  const { t } = useTranslation('work');
  const id = fire.started_id;
  if (id === '') return null;
  if (fire.started_kind === 'job')
    return (
      <TextLink size="sm" to="/jobs/$jobId" params={{ jobId: id }}>
        {t('fires.job')}
      </TextLink>
    );
  if (fire.started_kind === 'deployment')
    return (
      <TextLink size="sm" to="/deployments/$deploymentId" params={{ deploymentId: id }}>
        {t('fires.deployment')}
      </TextLink>
    );
  return (
    <TextLink size="sm" to="/commands/$commandId" params={{ commandId: id }}>
      {t('fires.command')}
    </TextLink>
  );
}
