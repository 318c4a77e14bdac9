import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { Deployment } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { TextLink } from '@/ui/Link';
import { workColumns } from '../work/columns';
import { deploymentName } from '../work/describe';

interface DeploymentTableProps {
  rows: readonly Deployment[];
  onEnd: () => void;
  empty: ReactNode;
}

export function DeploymentTable({ rows, onEnd, empty }: DeploymentTableProps) {
  const { t } = useTranslation('work');
  const common = workColumns<Deployment>(t);
  const columns: Column<Deployment>[] = [
    {
      key: 'what',
      header: t('column.deployment'),
      width: 'minmax(8rem, 1.6fr)',
      render: (row) => (
        <TextLink to="/deployments/$deploymentId" params={{ deploymentId: row.id }} size="sm">
          {deploymentName(t, row)}
          {row.check && ` (${t('deploy.check')})`}
        </TextLink>
      ),
    },
    common.state,
    common.server,
    {
      key: 'step',
      header: t('column.step'),
      width: 'minmax(6rem, 1.2fr)',
      wide: true,
      render: (row) => {
        const step = row.steps.find(({ status }) => status === 'running' || status === 'failed');
        return step && t(`states:step.${step.name}`, { defaultValue: step.title });
      },
    },
    common.took,
    common.by,
    common.created,
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
