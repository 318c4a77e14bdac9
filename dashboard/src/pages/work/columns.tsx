import type { TFunction } from 'i18next';
import type { Command, Deployment } from '@/api/types';
import type { Column } from '@/ui/DataTable';
import { TextLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { standingOf } from '@/ui/states';
import { Duration, Time } from '@/ui/Time';

/** The columns that the lists of commands and of deployments have in common. */
export function workColumns<T extends Command | Deployment>(
  t: TFunction<'work'>,
): Record<'state' | 'server' | 'took' | 'by' | 'created', Column<T>> {
  return {
    state: {
      key: 'state',
      header: t('column.state'),
      width: 'minmax(7rem, 0.8fr)',
      render: (row) => <StateBadge {...standingOf(row)} />,
    },
    server: {
      key: 'server',
      header: t('column.server'),
      width: 'minmax(6rem, 1fr)',
      render: (row) => (
        <TextLink to="/servers/$server" params={{ server: row.server_name }} size="sm">
          {row.server_name}
        </TextLink>
      ),
    },
    took: {
      key: 'took',
      header: t('column.took'),
      width: '6rem',
      align: 'right',
      wide: true,
      render: (row) => (row.started_at ? <Duration from={row.started_at} to={row.ended_at} /> : ''),
    },
    by: { key: 'by', header: t('column.by'), width: 'minmax(6rem, 0.8fr)', wide: true, render: (row) => row.requested_by },
    created: { key: 'created', header: t('column.created'), width: '7rem', wide: true, render: (row) => <Time at={row.created_at} /> },
  };
}
