import { Progress, Stack, Table, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { type PageOf, request } from '@/api/client';
import type { FactChange, Server } from '@/api/types';
import { CopyText } from '@/ui/CopyText';
import { FactList } from '@/ui/Facts';
import { bytes, duration, percent } from '@/ui/format';
import { Time } from '@/ui/Time';

/** What the host and its agent are, and what of it changed. */
export function HostFacts({ server }: { server: Server }) {
  const { t, i18n } = useTranslation('server');
  const language = i18n.language;
  const { agent, ssh, host_key: key } = server;
  const facts = agent?.facts;
  return (
    <Stack gap="lg">
      {facts && (
        <section>
          <Title order={2} size="h5" mb="xs">
            {t('host')}
          </Title>
          <FactList
            items={[
              [t('fact.hostname'), facts.hostname],
              [t('fact.os'), facts.os],
              [t('fact.kernel'), facts.kernel],
              [t('fact.arch'), facts.arch],
              [t('fact.cpus'), facts.cpus],
              [t('fact.load'), [facts.load_1m, facts.load_5m, facts.load_15m].map((one) => one.toFixed(2)).join(' · ')],
              [t('fact.memory'), `${bytes(facts.memory_total_bytes - facts.memory_available_bytes, language)} / ${bytes(facts.memory_total_bytes, language)}`],
              [t('fact.uptime'), facts.uptime_s === null ? null : duration(facts.uptime_s, language)],
              [t('fact.python'), facts.python],
              [t('fact.reported'), <Time key="at" at={facts.reported_at} />],
            ]}
          />
          <Stack gap={6} mt="sm" maw={560}>
            {facts.disks.map((disk) => (
              <Disk key={disk.mount} mount={disk.mount} used={1 - disk.free_bytes / Math.max(1, disk.total_bytes)} total={bytes(disk.total_bytes, language)} />
            ))}
          </Stack>
        </section>
      )}
      {agent && (
        <section>
          <Title order={2} size="h5" mb="xs">
            {t('agent')}
          </Title>
          <FactList
            items={[
              [t('fact.version'), agent.version],
              [t('fact.bundle'), facts?.bundle_version],
              [t('fact.tool'), facts?.deployment_tool_version],
              [t('fact.port'), agent.rpc_port],
              [t('fact.heartbeat'), <Time key="beat" at={agent.last_heartbeat} />],
              [t('fact.latency'), agent.latency_s === null ? null : duration(agent.latency_s, language)],
              [t('fact.rebooted'), agent.rebooted_at && <Time key="boot" at={agent.rebooted_at} />],
              [t('fact.certificate'), <CopyText key="cert" text={agent.certificate_sha256} />],
            ]}
          />
        </section>
      )}
      <section>
        <Title order={2} size="h5" mb="xs">
          {t('reach')}
        </Title>
        <FactList
          items={[
            [t('fact.address'), server.address],
            [t('fact.ssh'), `${ssh.user || 'root'}@${ssh.address || server.address}:${ssh.port}`],
            [t('fact.credential'), ssh.credential || (ssh.has_credential ? t('own_login') : t('no_login'))],
            [t('fact.jump'), ssh.jump_servers.join(' → ')],
            [t('fact.repair'), t(`repair.${server.repair_policy}`)],
            [t('fact.host_key'), key ? <CopyText key="key" text={key.fingerprint} /> : t('no_host_key')],
          ]}
        />
      </section>
      <FactHistory server={server.id} />
    </Stack>
  );
}

function Disk({ mount, used, total }: { mount: string; used: number; total: string }) {
  const { i18n } = useTranslation();
  const color = used > 0.9 ? 'red' : used > 0.75 ? 'orange' : 'blue';
  return (
    <div>
      <Text size="xs" style={{ overflowWrap: 'anywhere' }}>
        {mount} · {percent(used, i18n.language)} / {total}
      </Text>
      <Progress value={used * 100} color={color} size="sm" aria-label={mount} />
    </div>
  );
}

function FactHistory({ server }: { server: string }) {
  const { t } = useTranslation('server');
  const changes = useQuery({
    queryKey: ['servers', 'fact-history', server],
    queryFn: ({ signal }) => request<PageOf<FactChange>>('GET', `/servers/${server}/facts/history`, { query: { page_size: 50 }, signal }),
  });
  if (!changes.data || changes.data.items.length === 0) return null;
  return (
    <section>
      <Title order={2} size="h5" mb="xs">
        {t('changes')}
      </Title>
      <Table.ScrollContainer minWidth={420}>
        <Table>
          <Table.Tbody>
            {changes.data.items.map((change, index) => (
              <Table.Tr key={`${change.at}-${change.fact}-${index}`}>
                <Table.Td>
                  <Time at={change.at} />
                </Table.Td>
                <Table.Td>{change.fact}</Table.Td>
                <Table.Td style={{ overflowWrap: 'anywhere' }}>
                  {change.before || '–'} → {change.after || '–'}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </section>
  );
}
