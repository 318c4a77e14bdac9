import { Button, Code, Group, Loader, Modal, Stack, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { HostKeyState, Server } from '@/api/types';
import { ErrorNote } from '@/ui/ErrorNote';
import { Time } from '@/ui/Time';

/** The SSH host key that is trusted beside the one that the host shows now. */
export function HostKeyDialog({ server, onClose }: { server: Server; onClose: () => void }) {
  const { t } = useTranslation(['server', 'add_server', 'common']);
  const queries = useQueryClient();
  const path = `/servers/${encodeURIComponent(server.name)}/host-key` as const;
  const [error, setError] = useState<unknown>(null);
  const scan = useQuery({
    queryKey: ['host-key', server.name],
    retry: false,
    queryFn: ({ signal }) => request<HostKeyState>('GET', path, { query: { scan: true }, signal }),
  });
  const trust = async (fingerprint: string) => {
    try {
      await request('PUT', path, { body: { fingerprint } });
      await queries.invalidateQueries({ queryKey: ['servers'] });
      await queries.invalidateQueries({ queryKey: ['host-key'] });
      onClose();
    } catch (failure) {
      setError(failure);
    }
  };
  const key = server.host_key;
  const shown = scan.data?.shown;
  return (
    <Modal opened onClose={onClose} title={t('host_key.title')} size="lg">
      <Stack>
        <Text size="sm">
          {t('host_key.trusted')} <Code style={{ overflowWrap: 'anywhere' }}>{key?.fingerprint ?? t('no_host_key')}</Code>
        </Text>
        {key && (
          <Text size="sm" c="dimmed">
            {t(`host_key.how.${key.how}`, { defaultValue: key.how })} · {key.accepted_by} · <Time at={key.accepted_at} />
          </Text>
        )}
        {scan.isFetching && <Loader size="sm" />}
        {!scan.isFetching && <ErrorNote error={scan.error} onRetry={() => void scan.refetch()} />}
        {shown && (
          <Text size="sm">
            {t('host_key.shown')} <Code style={{ overflowWrap: 'anywhere' }}>{shown.fingerprint}</Code>
          </Text>
        )}
        {scan.data?.matches === true && <Text size="sm">{t('add_server:scan.matches')}</Text>}
        {scan.data?.matches === false && <Text size="sm">{t('add_server:scan.differs')}</Text>}
        <ErrorNote error={error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('common:close')}
          </Button>
          {shown && scan.data?.matches !== true && (
            <Button color="red" onClick={() => void trust(shown.fingerprint)}>
              {t('host_key.trust')}
            </Button>
          )}
        </Group>
      </Stack>
    </Modal>
  );
}
