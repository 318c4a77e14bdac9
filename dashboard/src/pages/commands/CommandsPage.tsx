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
import { useUrlState } from '@/ui/useUrlState';
import { workColumns } from '../work/columns';
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
  const common = workColumns<Command>(t);
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
    common.state,
    common.server,
    { key: 'exit', header: t('column.exit'), width: '3.5rem', align: 'right', wide: true, render: (row) => row.exit_code ?? '' },
    common.took,
    {
      key: 'output',
      header: t('column.output'),
      width: '5.5rem',
      align: 'right',
      wide: true,
      render: (row) => bytes(row.log_size_bytes, i18n.language),
    },
    common.by,
    common.created,
  ];
}
