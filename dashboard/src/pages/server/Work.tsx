import { Skeleton, Stack, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { type PageOf, request } from '@/api/client';
import { usePolling } from '@/api/live';
import { useMayOn } from '@/api/session';
import type { Command, Deployment, Server } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink, TextLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { standingOf } from '@/ui/states';
import { Duration, Time } from '@/ui/Time';
import { deploymentName, type Say } from '../work/describe';

const AT_ONCE = 50;

/** The latest commands and deployments on one server. */
export function Work({ server }: { server: Server }) {
  const { t } = useTranslation('server');
  const polling = usePolling(5);
  const operator = useMayOn('operator', server);
  const query = { server: server.name, page_size: AT_ONCE };
  const commands = useQuery({
    queryKey: ['commands', 'of', server.name],
    refetchInterval: polling,
    queryFn: ({ signal }) => request<PageOf<Command>>('GET', '/commands', { query, signal }),
  });
  const deployments = useQuery({
    queryKey: ['deployments', 'of', server.name],
    refetchInterval: polling,
    queryFn: ({ signal }) => request<PageOf<Deployment>>('GET', '/deployments', { query, signal }),
  });
  const error = commands.error ?? deployments.error;
  if (error) return <ErrorNote error={error} />;
  if (!commands.data || !deployments.data) return <Skeleton h={200} />;
  if (commands.data.items.length + deployments.data.items.length === 0)
    return (
      <EmptyState title={t('no_work.title')} text={t('no_work.text')}>
        {operator && (
          <ButtonLink to="/run" search={{ servers: server.name } as never}>
            {t('action.run')}
          </ButtonLink>
        )}
      </EmptyState>
    );
  return (
    <Stack gap="lg">
      <section>
        <Title order={2} size="h5" mb="xs">
          {t('commands')}
        </Title>
        <DataTable label={t('commands')} rows={commands.data.items} columns={commandColumns(t)} rowKey={(one) => one.id} height="auto" empty={<span>{t('none_yet')}</span>} />
        <TextLink to="/commands" search={{ server: server.name } as never} size="sm">
          {t('all_commands')}
        </TextLink>
      </section>
      <section>
        <Title order={2} size="h5" mb="xs">
          {t('deployments')}
        </Title>
        <DataTable label={t('deployments')} rows={deployments.data.items} columns={deploymentColumns(t)} rowKey={(one) => one.id} height="auto" empty={<span>{t('none_yet')}</span>} />
        <TextLink to="/deployments" search={{ server: server.name } as never} size="sm">
          {t('all_deployments')}
        </TextLink>
      </section>
    </Stack>
  );
}

function common<T extends Command | Deployment>(t: Say): Column<T>[] {
  return [
    {
      key: 'state',
      header: t('column.state'),
      width: '8rem',
      render: (one) => <StateBadge {...standingOf(one)} />,
    },
    { key: 'when', header: t('column.when'), width: '8rem', render: (one) => <Time at={one.created_at} /> },
    {
      key: 'took',
      header: t('column.took'),
      width: '7rem',
      wide: true,
      render: (one) => (one.started_at ? <Duration from={one.started_at} to={one.ended_at} /> : '–'),
    },
    { key: 'by', header: t('column.by'), width: '10rem', wide: true, render: (one) => one.requested_by },
  ];
}

function commandColumns(t: Say): Column<Command>[] {
  return [
    {
      key: 'command',
      header: t('column.command'),
      width: 'minmax(9rem, 2fr)',
      render: (one) => (
        <TextLink to="/commands/$commandId" params={{ commandId: one.id }} size="sm" ff="monospace">
          {[one.command, ...one.args].join(' ')}
        </TextLink>
      ),
    },
    ...common<Command>(t),
  ];
}

function deploymentColumns(t: Say): Column<Deployment>[] {
  return [
    {
      key: 'kind',
      header: t('column.kind'),
      width: 'minmax(9rem, 2fr)',
      render: (one) => (
        <TextLink to="/deployments/$deploymentId" params={{ deploymentId: one.id }} size="sm">
          {deploymentName(t, one)}
        </TextLink>
      ),
    },
    ...common<Deployment>(t),
  ];
}
