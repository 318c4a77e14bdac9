import { Group, Skeleton, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useTranslation } from 'react-i18next';
import { useMay } from '@/api/session';
import type { Command } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { bytes } from '@/ui/format';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { Duration, Time } from '@/ui/Time';
import { useUrlState } from '@/ui/useUrlState';
import { commandLine, shortened } from '../work/describe';
import { COMMAND_STATES, StatusFilter, useStatuses } from '../work/StatusFilter';
import { useList } from '../work/useList';

/** All commands, newest first. */
export function CommandsPage() {
  const { t } = useTranslation('work');
  const [server, setServer] = useUrlState('server');
  const [job] = useUrlState('job');
  const [statuses, setStatuses] = useStatuses(COMMAND_STATES);
  const [settled] = useDebouncedValue(server.trim(), 300);
  const list = useList<Command>('commands', { server: settled, job_id: job, status: statuses });
  const operator = useMay('operator');
  const columns = useColumns();
  const run = operator && <ButtonLink to="/run">{t('run.title')}</ButtonLink>;
  return (
    <Page title={t('commands.title')} description={t('commands.about')} actions={run}>
      <Group align="flex-end" gap="sm">
        <TextInput
          label={t('column.server')}
          placeholder={t('filter.any_server')}
          value={server}
          onChange={(event) => setServer(event.currentTarget.value)}
          data-filter
          w={{ base: '100%', sm: 240 }}
        />
        <StatusFilter known={COMMAND_STATES} value={statuses} onChange={setStatuses} />
      </Group>
      <ErrorNote error={list.error} onRetry={list.again} />
      {list.isPending ? (
        <Skeleton h={300} />
      ) : (
        <DataTable
          label={t('commands.title')}
          rows={list.items}
          columns={columns}
          rowKey={(command) => command.id}
          onEnd={list.more}
          empty={
            !list.error && (
              <EmptyState title={t('commands.empty.title')} text={t('commands.empty.text')}>
                {run}
              </EmptyState>
            )
          }
        />
      )}
    </Page>
  );
}

function useColumns(): Column<Command>[] {
  const { t, i18n } = useTranslation('work');
  return [
    {
      key: 'command',
      header: t('column.command'),
      width: 'minmax(9rem, 2fr)',
      render: (row) => (
        <TextLink to="/commands/$commandId" params={{ commandId: row.id }} size="sm" ff="monospace">
          {shortened(commandLine(row.command, row.args)) || row.command}
        </TextLink>
      ),
    },
    {
      key: 'state',
      header: t('column.state'),
      width: 'minmax(7rem, 0.8fr)',
      render: (row) => <StateBadge state={row.status} plain />,
    },
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
    { key: 'exit', header: t('column.exit'), width: '3.5rem', align: 'right', wide: true, render: (row) => row.exit_code ?? '' },
    {
      key: 'took',
      header: t('column.took'),
      width: '6rem',
      align: 'right',
      wide: true,
      render: (row) => (row.started_at ? <Duration from={row.started_at} to={row.ended_at} /> : ''),
    },
    {
      key: 'output',
      header: t('column.output'),
      width: '5.5rem',
      align: 'right',
      wide: true,
      render: (row) => bytes(row.log_size_bytes, i18n.language),
    },
    { key: 'by', header: t('column.by'), width: 'minmax(6rem, 0.8fr)', wide: true, render: (row) => row.requested_by },
    { key: 'created', header: t('column.created'), width: '7rem', wide: true, render: (row) => <Time at={row.created_at} /> },
  ];
}
