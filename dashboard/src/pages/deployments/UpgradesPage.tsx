import { Group, Paper, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { serverList } from '@/api/servers';
import { useMay } from '@/api/session';
import type { Deployment, Server } from '@/api/types';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { count } from '@/ui/format';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { useList } from '../work/useList';
import { DeploymentTable } from './DeploymentTable';

/** Which versions of the agent are out there, and their upgrades. */
export function UpgradesPage() {
  const { t } = useTranslation('work');
  const operator = useMay('operator');
  const servers = useQuery(serverList(''));
  const list = useList<Deployment>('deployments', { kind: 'upgrade_agent' });
  return (
    <Page
      title={t('upgrades.title')}
      description={t('upgrades.about')}
      actions={
        operator && (
          <ButtonLink to="/deployments/new" search={{ kind: 'upgrade_agent', selector: 'status=online' } as never}>
            {t('upgrades.start')}
          </ButtonLink>
        )
      }
    >
      <ErrorNote error={servers.error ?? list.error} onRetry={list.again} />
      {servers.data && <Versions servers={servers.data} />}
      <Title order={2} size="h5">
        {t('upgrades.history')}
      </Title>
      {list.isPending ? (
        <Skeleton h={200} />
      ) : (
        <DeploymentTable
          rows={list.items}
          onEnd={list.more}
          empty={!list.error && <EmptyState title={t('upgrades.empty.title')} text={t('upgrades.empty.text')} />}
        />
      )}
    </Page>
  );
}

function Versions({ servers }: { servers: readonly Server[] }) {
  const { t, i18n } = useTranslation('work');
  const versions = new Map<string, number>();
  for (const { agent } of servers) {
    if (agent !== null && agent.version !== '') versions.set(agent.version, (versions.get(agent.version) ?? 0) + 1);
  }
  if (versions.size === 0) return null;
  const sorted = [...versions].sort(([a], [b]) => b.localeCompare(a, undefined, { numeric: true }));
  return (
    <Stack gap="xs">
      <Title order={2} size="h5">
        {t('upgrades.versions')}
      </Title>
      <Group gap="sm">
        {sorted.map(([version, number]) => (
          <Paper key={version} withBorder p="xs">
            <TextLink to="/servers" search={{ selector: `version=${version}` } as never} fw={600}>
              {version}
            </TextLink>
            <Text size="sm" c="dimmed">
              {t('upgrades.servers', { count: number, number: count(number, i18n.language) })}
            </Text>
          </Paper>
        ))}
      </Group>
    </Stack>
  );
}
