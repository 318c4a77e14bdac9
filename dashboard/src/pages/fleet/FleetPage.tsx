import { Card, Group, SimpleGrid, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { request, type PageOf } from '@/api/client';
import { usePolling } from '@/api/live';
import { heartbeatQuery, statusQuery } from '@/api/servers';
import { useMay } from '@/api/session';
import type { Command, Deployment, Job } from '@/api/types';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { isFinal, type Next, nextOf } from '@/ui/states';
import { Time } from '@/ui/Time';
import { titleOf } from '../work/describe';
import { FleetBar } from './FleetBar';
import { Troubles } from './Troubles';

/** The whole fleet on one screen: what is well, what is not, what happens just now. */
export function FleetPage() {
  const { t } = useTranslation('fleet');
  const polling = usePolling(10);
  const status = useQuery({ ...statusQuery, refetchInterval: polling });
  const admin = useMay('admin');
  const counts = status.data?.servers ?? null;
  const total = counts === null ? null : Object.values(counts).reduce((sum, one) => sum + one, 0);
  return (
    <Page
      title={t('title')}
      actions={
        <>
          {admin && (
            <ButtonLink to="/servers/new" variant={total === 0 ? 'filled' : 'default'}>
              {t('add')}
            </ButtonLink>
          )}
          <RunButton total={total} />
        </>
      }
    >
      <ErrorNote error={status.error} onRetry={() => void status.refetch()} />
      {status.isPending && <Skeleton h={90} />}
      {total === 0 && (
        <EmptyState title={t('empty.title')} text={t('empty.text')}>
          {admin && <ButtonLink to="/servers/new">{t('add')}</ButtonLink>}
        </EmptyState>
      )}
      {counts !== null && total !== null && total > 0 && <FleetBar counts={counts} total={total} />}
      <Doubt />
      {total !== null && total > 0 && <Troubles />}
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        <UnderWay />
        <Services services={status.data?.services} version={status.data?.version} />
      </SimpleGrid>
    </Page>
  );
}

function RunButton({ total }: { total: number | null }) {
  const { t } = useTranslation('fleet');
  const operator = useMay('operator');
  if (!operator || !total) return null;
  return <ButtonLink to="/run">{t('run')}</ButtonLink>;
}

/** MyX doubts itself: the first thing to know, since then "unknown" says nothing about the servers. */
function Doubt() {
  const { t } = useTranslation('fleet');
  const polling = usePolling(15);
  const mayAsk = useMay('viewer', true);
  const { data } = useQuery({ ...heartbeatQuery, enabled: mayAsk, refetchInterval: polling });
  if (!data?.suspicion) return null;
  const { failing, agents, since, until, message } = data.suspicion;
  return (
    <Card withBorder role="alert">
      <Group gap="sm">
        <StateBadge state="unknown" cause="control_plane_doubt" message={message} since={since} deadline={until} />
        <Text size="sm">{t('doubt', { failing, agents })}</Text>
      </Group>
    </Card>
  );
}

function Services({ services, version }: { services?: Record<string, string>; version?: string }) {
  const { t } = useTranslation('fleet');
  return (
    <Card withBorder component="section" aria-labelledby="services">
      <Title order={2} size="h5" id="services" mb="xs">
        {t('services')}
      </Title>
      <Stack gap={6}>
        {Object.entries(services ?? {}).map(([name, state]) => (
          <Group key={name} justify="space-between">
            <Text size="sm">{t(`service.${name}`, { defaultValue: name })}</Text>
            <StateBadge state={state} />
          </Group>
        ))}
        {version && (
          <Text size="xs" c="dimmed">
            MyX {version}
          </Text>
        )}
      </Stack>
    </Card>
  );
}

interface Work {
  id: string;
  kind: 'command' | 'job' | 'deployment';
  name: string;
  content: Parameters<typeof titleOf>[1];
  where: string;
  status: string;
  since: string | null;
  next: Next | undefined;
}

const SHOWN = 12;
const PAGE = 50;
const MOST_PAGES = 6;
const OPEN = ['pending', 'queued', 'running', 'cancelling'];
const OPEN_JOB = ['pending', 'running', 'paused', 'stopping', 'cancelling'];

/** What is not over, of every kind; then what was begun last. */
function UnderWay() {
  const { t } = useTranslation('fleet');
  const open = useWork('under-way', OPEN, OPEN_JOB);
  const lately = useWork('lately', undefined, undefined);
  const over = lately.work.filter((one) => isFinal(one.status)).slice(0, 6);
  return (
    <Card withBorder component="section" aria-labelledby="under-way">
      <Title order={2} size="h5" id="under-way" mb="xs">
        {t('under_way')}
      </Title>
      <ErrorNote error={open.error} onRetry={open.again} />
      {open.isKnown && open.work.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('nothing_under_way')}
        </Text>
      )}
      <WorkList work={open.work.slice(0, SHOWN)} />
      {over.length > 0 && (
        <>
          <Title order={3} size="h6" mt="md" mb="xs">
            {t('lately')}
          </Title>
          <WorkList work={over} />
        </>
      )}
    </Card>
  );
}

function useWork(name: string, states: string[] | undefined, jobStates: string[] | undefined) {
  const refetchInterval = usePolling(5);
  const jobs = useQuery({
    queryKey: ['jobs', 'overview', name],
    refetchInterval,
    queryFn: async ({ signal }) => {
      const query = { status: jobStates, page_size: SHOWN };
      return (await request<PageOf<Job>>('GET', '/jobs', { query, signal })).items.map(fromJob);
    },
  });
  const deployments = useQuery({
    queryKey: ['deployments', 'overview', name],
    refetchInterval,
    queryFn: async ({ signal }) => (await standalone<Deployment>('/deployments', states, signal)).map(fromDeployment),
  });
  const commands = useQuery({
    queryKey: ['commands', 'overview', name],
    refetchInterval,
    queryFn: async ({ signal }) => (await standalone<Command>('/commands', states, signal)).map(fromCommand),
  });
  const parts = [jobs, deployments, commands];
  return {
    work: parts.flatMap((part) => part.data ?? []).sort((one, other) => (other.since ?? '').localeCompare(one.since ?? '')),
    isKnown: parts.every((part) => part.data !== undefined),
    error: parts.find((part) => part.error)?.error ?? null,
    again: () => {
      for (const part of parts) void part.refetch();
    },
  };
}

/** The newest that belong to no job: those of a job are told by the job. */
async function standalone<T extends { job_id: string | null }>(
  path: '/commands' | '/deployments',
  status: string[] | undefined,
  signal: AbortSignal,
): Promise<T[]> {
  const found: T[] = [];
  let token: string | null = '';
  for (let page = 0; page < MOST_PAGES && token !== null && found.length < SHOWN; page += 1) {
    const query = { status, page_size: PAGE, page_token: token };
    const answer: PageOf<T> = await request('GET', path, { query, signal });
    found.push(...answer.items.filter((one) => !one.job_id));
    token = answer.next_page_token;
  }
  return found;
}

function WorkList({ work }: { work: readonly Work[] }) {
  return (
    <Stack gap={8}>
      {work.map((one) => (
        <Group key={one.id} justify="space-between" wrap="nowrap" gap="sm">
          <div style={{ minWidth: 0 }}>
            <WorkLink work={one} />
            <Text size="xs" c="dimmed" truncate>
              {one.where} · <Time at={one.since} />
            </Text>
          </div>
          <StateBadge state={one.status} since={one.since} next={one.next} />
        </Group>
      ))}
    </Stack>
  );
}

function WorkLink({ work }: { work: Work }) {
  const { t } = useTranslation('fleet');
  const title = work.name || titleOf(t, work.content);
  const common = { size: 'sm', truncate: true, display: 'block' } as const;
  if (work.kind === 'job')
    return (
      <TextLink to="/jobs/$jobId" params={{ jobId: work.id }} {...common}>
        {title}
      </TextLink>
    );
  if (work.kind === 'deployment')
    return (
      <TextLink to="/deployments/$deploymentId" params={{ deploymentId: work.id }} {...common}>
        {title}
      </TextLink>
    );
  return (
    <TextLink to="/commands/$commandId" params={{ commandId: work.id }} {...common}>
      {title}
    </TextLink>
  );
}

function common(one: Command | Deployment | Job) {
  return { id: one.id, status: one.status, since: one.created_at, next: nextOf(one) };
}

function fromCommand(one: Command): Work {
  const content = { command: one, deployment: null };
  return { ...common(one), kind: 'command', name: '', content, where: one.server_name };
}

function fromDeployment(one: Deployment): Work {
  const content = { command: null, deployment: one };
  return { ...common(one), kind: 'deployment', name: '', content, where: one.server_name };
}

function fromJob(one: Job): Work {
  const done = one.target_count - (one.counts.waiting ?? 0) - (one.counts.running ?? 0);
  return { ...common(one), kind: 'job', name: one.name, content: one.work, where: `${done} / ${one.target_count}` };
}
