import { Skeleton, Stack, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { ApiError } from '@/api/client';
import { usePolling } from '@/api/live';
import { agentStanding, marksOf, serverDetail } from '@/api/servers';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { Labels } from '@/ui/Labels';
import { ButtonLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { useUrlState } from '@/ui/useUrlState';
import { Charts } from './Charts';
import { HostFacts } from './HostFacts';
import { History } from './History';
import { ServerActions } from './ServerActions';
import { Standing } from './Standing';
import { Work } from './Work';

/** One server: how it is, how it was, what it is, what was done on it. */
export function ServerPage() {
  const { t } = useTranslation('server');
  const { server: name } = useParams({ strict: false }) as { server: string };
  const [tab, setTab] = useUrlState('tab', 'charts');
  const query = useQuery({ ...serverDetail(name), refetchInterval: usePolling(5) });
  const server = query.data;
  if (server === undefined) {
    if (query.error instanceof ApiError && query.error.status === 404)
      return (
        <EmptyState title={t('gone.title', { name })} text={t('gone.text')}>
          <ButtonLink to="/servers" variant="default">
            {t('gone.all')}
          </ButtonLink>
        </EmptyState>
      );
    return (
      <Page title={name}>{query.error ? <ErrorNote error={query.error} onRetry={() => void query.refetch()} /> : <Skeleton h={300} />}</Page>
    );
  }
  return (
    <Page
      title={server.name}
      aside={
        <>
          <StateBadge {...agentStanding(server)} />
          {marksOf(server).map((mark) => (
            <StateBadge key={mark} state={mark} />
          ))}
        </>
      }
      description={
        <Stack gap={4}>
          <span>{server.address}</span>
          <Labels labels={server.labels} wrap />
        </Stack>
      }
      actions={<ServerActions server={server} />}
    >
      <ErrorNote error={query.error} onRetry={() => void query.refetch()} />
      <Standing server={server} />
      <Tabs value={tab} onChange={(value) => setTab(value ?? 'charts')} keepMounted={false}>
        <Tabs.List mb="md">
          {['charts', 'facts', 'history', 'work'].map((one) => (
            <Tabs.Tab key={one} value={one}>
              {t(`tab.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value="charts">
          {server.agent && <Charts server={server} />}
        </Tabs.Panel>
        <Tabs.Panel value="facts">
          <HostFacts server={server} />
        </Tabs.Panel>
        <Tabs.Panel value="history">
          {server.agent && <History server={server.name} />}
        </Tabs.Panel>
        <Tabs.Panel value="work">
          <Work server={server} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
