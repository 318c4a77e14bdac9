import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { Deployment } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { TextLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { Duration, Time } from '@/ui/Time';
import { deploymentName } from '../work/describe';

interface DeploymentTableProps {
  rows: readonly Deployment[];
  onEnd: () => void;
  empty: ReactNode;
}

export function DeploymentTable({ rows, onEnd, empty }: DeploymentTableProps) {
  const { t } = useTranslation('work');
  const columns: Column<Deployment>[] = [
    {
      key: 'what',
      header: t('column.deployment'),
      width: 'minmax(8rem, 1.6fr)',
      render: (row) => (
        <TextLink to="/deployments/$deploymentId" params={{ deploymentId: row.id }} size="sm">
          {row.kind === 'playbook' ? deploymentName(row) : t(`kind.${row.kind}`, { defaultValue: row.kind })}
          {row.check && ` (${t('deploy.check')})`}
        </TextLink>
      ),
    },
    { key: 'state', header: t('column.state'), width: 'minmax(7rem, 0.8fr)', render: (row) => <StateBadge state={row.status} plain /> },
    {
      key: 'server',
      header: t('column.server'),
      width: 'minmax(6rem, 1fr)',
      render: (row) => (
        <TextLink to="/servers/$server" params={{ server: row.server_name }} size="sm">
          {row.server_name}
        </TextLink>
      ),
    },
    {
      key: 'step',
      header: t('column.step'),
      width: 'minmax(6rem, 1.2fr)',
      wide: true,
      render: (row) => row.steps.find((step) => step.status === 'running' || step.status === 'failed')?.title ?? '',
    },
    {
      key: 'took',
      header: t('column.took'),
      width: '6rem',
      align: 'right',
      wide: true,
      render: (row) => (row.started_at ? <Duration from={row.started_at} to={row.ended_at} /> : ''),
    },
    { key: 'by', header: t('column.by'), width: 'minmax(6rem, 0.8fr)', wide: true, render: (row) => row.requested_by },
    { key: 'created', header: t('column.created'), width: '7rem', wide: true, render: (row) => <Time at={row.created_at} /> },
  ];
  return (
    <DataTable
      label={t('deployments.title')}
      rows={rows}
      columns={columns}
      rowKey={(row) => row.id}
      onEnd={onEnd}
      empty={empty}
    />
  );
}
