import { Button, Group, Skeleton, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '@/api/client';
import { usePolling } from '@/api/live';
import { agentStanding, diskUsed, marksOf, memoryUsed, serverList, stateOf } from '@/api/servers';
import { useMay } from '@/api/session';
import type { Server } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { count, duration, percent } from '@/ui/format';
import { Labels } from '@/ui/Labels';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { SelectorInput } from '@/ui/SelectorInput';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import { useUrlState } from '@/ui/useUrlState';
import { PauseMany } from './PauseMany';

const LARGE = 1000;

/** All servers, or those that a selector matches. */
export function ServersPage() {
  const { t, i18n } = useTranslation('servers');
  const [selector, setSelector] = useUrlState('selector');
  const [typed, setTyped] = useState(selector);
  const [settled] = useDebouncedValue(typed.trim(), 300);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const admin = useMay('admin');
  const operator = useMay('operator');
  useFollow(selector, setTyped);
  const list = useQuery({
    ...serverList(settled),
    refetchInterval: usePolling(10),
    retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status < 500),
  });
  const servers = list.data ?? [];
  const columns = useColumns();
  const change = (value: string) => {
    setTyped(value);
    setSelector(value.trim());
  };
  const wrong = list.error instanceof ApiError && list.error.reason === 'SELECTOR_INVALID';
  const chosen = servers.filter((server) => selected.has(server.id)).map((server) => server.name);
  return (
    <Page
      title={t('title')}
      description={
        list.data && t('shown', { count: servers.length, number: count(servers.length, i18n.language) }) + (list.isFetching ? ' …' : '')
      }
      actions={admin && <ButtonLink to="/servers/new">{t('add')}</ButtonLink>}
    >
      <SelectorInput value={typed} onChange={change} label={t('filter')} description={t('filter_help')} />
      {!wrong && <ErrorNote error={list.error} onRetry={() => void list.refetch()} />}
      {operator && chosen.length > 0 && (
        <Group gap="xs">
          <Text size="sm">{t('chosen', { count: chosen.length })}</Text>
          <ButtonLink to="/run" search={{ servers: chosen.join(',') } as never} size="compact-sm">
            {t('run_on')}
          </ButtonLink>
          <PauseMany servers={chosen} />
          <Button size="compact-sm" variant="subtle" onClick={() => setSelected(new Set())}>
            {t('unchoose')}
          </Button>
        </Group>
      )}
      {operator && chosen.length === 0 && settled !== '' && servers.length > 0 && (
        <Group gap="xs">
          <ButtonLink to="/run" search={{ selector: settled } as never} size="compact-sm" variant="default">
            {t('run_on_matching')}
          </ButtonLink>
        </Group>
      )}
      {list.isPending ? (
        <Skeleton h={300} />
      ) : (
        <DataTable
          label={t('title')}
          rows={servers}
          columns={columns}
          rowKey={(server) => server.id}
          selected={operator ? selected : undefined}
          onSelect={operator ? setSelected : undefined}
          selectLabel={(server) => server.name}
          empty={
            settled === '' ? (
              <EmptyState title={t('empty.title')} text={t('empty.text')}>
                {admin && <ButtonLink to="/servers/new">{t('add')}</ButtonLink>}
              </EmptyState>
            ) : (
              <EmptyState title={t('no_match.title')} text={t('no_match.text')}>
                <Button variant="default" onClick={() => change('')}>
                  {t('no_match.all')}
                </Button>
              </EmptyState>
            )
          }
        />
      )}
      {servers.length > LARGE && (
        <Text size="xs" c="dimmed">
          {t('large')}
        </Text>
      )}
    </Page>
  );
}

/** The box follows the address when that is changed from outside: the back button, a link. */
function useFollow(selector: string, setTyped: (value: string) => void): void {
  const [before, setBefore] = useState(selector);
  if (before !== selector) {
    setBefore(selector);
    setTyped(selector);
  }
}

function useColumns(): Column<Server>[] {
  const { t, i18n } = useTranslation('servers');
  return useMemo(() => {
    const part = (value: number | null) => (value === null ? '–' : percent(value, i18n.language));
    return [
      {
        key: 'name',
        header: t('column.name'),
        width: 'minmax(7rem, 1.4fr)',
        sort: (server) => server.name,
        render: (server) => (
          <TextLink to="/servers/$server" params={{ server: server.name }} size="sm">
            {server.name}
          </TextLink>
        ),
      },
      {
        key: 'state',
        header: t('column.state'),
        width: 'minmax(10.75rem, 1.5fr)',
        sort: stateOf,
        render: (server) => (
          <Group gap={4} wrap="nowrap" component="span">
            <StateBadge {...agentStanding(server)} />
            {marksOf(server).map((mark) => (
              <StateBadge key={mark} state={mark} />
            ))}
          </Group>
        ),
      },
      { key: 'address', header: t('column.address'), width: 'minmax(6rem, 1fr)', sort: (server) => server.address, render: (server) => server.address, wide: true },
      {
        key: 'labels',
        header: t('column.labels'),
        width: 'minmax(5rem, 3fr)',
        render: (server) => <Labels labels={server.labels} />,
        wide: true,
      },
      {
        key: 'since',
        header: t('column.seen'),
        width: '6.5rem',
        sort: (server) => server.agent?.last_heartbeat ?? '',
        render: (server) => <Time at={server.agent?.last_heartbeat} />,
        wide: true,
      },
      {
        key: 'latency',
        header: t('column.latency'),
        width: '5rem',
        align: 'right',
        wide: true,
        sort: (server) => server.agent?.latency_s ?? -1,
        render: (server) => (server.agent?.latency_s == null ? '–' : duration(server.agent.latency_s, i18n.language)),
      },
      {
        key: 'memory',
        header: t('column.memory'),
        width: '5rem',
        align: 'right',
        wide: true,
        sort: (server) => memoryUsed(server.agent) ?? -1,
        render: (server) => part(memoryUsed(server.agent)),
      },
      {
        key: 'disk',
        header: t('column.disk'),
        width: '4.5rem',
        align: 'right',
        wide: true,
        sort: (server) => diskUsed(server.agent) ?? -1,
        render: (server) => part(diskUsed(server.agent)),
      },
      {
        key: 'version',
        header: t('column.version'),
        width: '4rem',
        wide: 'extra',
        sort: (server) => server.agent?.version ?? '',
        render: (server) => server.agent?.version ?? '',
      },
    ];
  }, [t, i18n.language]);
}
