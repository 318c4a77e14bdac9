import { Card, Group, Stack, Text, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { request, type PageOf } from '@/api/client';
import { usePolling } from '@/api/live';
import { agentStanding, marksOf } from '@/api/servers';
import type { Server } from '@/api/types';
import { useCauses } from '@/ui/causes';
import { TextLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';

const SHOWN = 12;

/** The servers that somebody should look at, the newest trouble first. */
export function Troubles() {
  const { t } = useTranslation('fleet');
  const causeOf = useCauses();
  const polling = usePolling(10);
  const { data } = useQuery({
    queryKey: ['servers', 'troubles'],
    refetchInterval: polling,
    queryFn: ({ signal }) =>
      request<PageOf<Server>>('GET', '/servers', {
        query: { selector: 'status=offline or status=unknown', page_size: 200 },
        signal,
      }),
  });
  if (data === undefined) return null;
  const servers = [...data.items].sort((a, b) => since(b).localeCompare(since(a)));
  return (
    <Card withBorder component="section" aria-labelledby="troubles">
      <Group justify="space-between" mb="xs">
        <Title order={2} size="h5" id="troubles">
          {t('troubles')}
        </Title>
        {servers.length > SHOWN && (
          <TextLink to="/servers" search={{ selector: 'status=offline or status=unknown' } as never} size="sm">
            {t('all_troubles', { number: `${servers.length}${data.next_page_token ? '+' : ''}` })}
          </TextLink>
        )}
      </Group>
      {servers.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('no_troubles')}
        </Text>
      )}
      <Stack gap={6}>
        {servers.slice(0, SHOWN).map((server) => (
          <Group key={server.id} justify="space-between" wrap="nowrap" gap="sm">
            <Group gap="xs" wrap="nowrap" style={{ minWidth: 0 }}>
              <TextLink to="/servers/$server" params={{ server: server.name }} size="sm" truncate>
                {server.name}
              </TextLink>
              <Text size="xs" c="dimmed" component="span" style={{ whiteSpace: 'nowrap' }}>
                <Time at={since(server)} />
              </Text>
              <Text size="sm" component="span" truncate>
                {causeOf(server.agent?.status_reason ?? '')}
              </Text>
            </Group>
            <Group gap={4} wrap="nowrap">
              {marksOf(server).map((mark) => (
                <StateBadge key={mark} state={mark} />
              ))}
              <StateBadge {...agentStanding(server)} />
            </Group>
          </Group>
        ))}
      </Stack>
    </Card>
  );
}

function since(server: Server): string {
  return server.agent?.status_since ?? '';
}
