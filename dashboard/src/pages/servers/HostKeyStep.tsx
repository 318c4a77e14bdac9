import { Button, Code, Group, Loader, Paper, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { Deployment, HostKeyState, Server } from '@/api/types';
import { CopyText } from '@/ui/CopyText';
import { ErrorNote } from '@/ui/ErrorNote';
import { TextLink } from '@/ui/Link';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';

const SHOW_KEY = 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub';

/** The key that the host shows, to be compared before any password leaves MyX; then the install begins. */
export function HostKeyStep({ server, onStarted }: { server: Server; onStarted: (deployment: string) => void }) {
  const { t } = useTranslation('add_server');
  const path = `/servers/${encodeURIComponent(server.name)}/host-key` as const;
  const keyOf = useIdempotencyKey();
  const { busy, error, attempt } = useAttempt();
  const scan = useQuery({
    queryKey: ['host-key', server.name],
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0, // whoever comes back here sees the key that the host shows then
    queryFn: ({ signal }) => request<HostKeyState>('GET', path, { query: { scan: true }, signal }),
  });
  const shown = scan.data?.shown;
  const install = (trust: boolean) =>
    attempt(async () => {
      if (trust && shown) await request('PUT', path, { body: { fingerprint: shown.fingerprint } });
      const body = { server: server.name, kind: 'install_agent' };
      const deployment = await request<Deployment>('POST', '/deployments', { body, headers: keyOf(body) });
      onStarted(deployment.id);
    });
  return (
    <Paper withBorder p="md" maw={820}>
      <Stack>
        {scan.isFetching && (
          <Group gap="sm" role="status">
            <Loader size="sm" />
            <Text size="sm">{t('scan.running', { address: server.ssh.address || server.address, port: server.ssh.port })}</Text>
          </Group>
        )}
        {!scan.isFetching && scan.error && (
          <>
            <ErrorNote error={scan.error} onRetry={() => void scan.refetch()} />
            <Text size="sm">
              {t('scan.stored', { server: server.name })}{' '}
              <TextLink to="/servers/$server" params={{ server: server.name }} size="sm" underline="always">
                {t('scan.change')}
              </TextLink>
            </Text>
          </>
        )}
        {shown && scan.data?.matches !== true && (
          <>
            <Text size="sm">{scan.data?.matches === false ? t('scan.differs') : t('scan.compare')}</Text>
            <CopyText text={shown.fingerprint} label={t('scan.copy')} />
            <Text size="sm" c="dimmed">
              {t('scan.on_host')} <Code>{SHOW_KEY}</Code>
            </Text>
            {scan.data?.trusted && (
              <Text size="sm">
                {t('scan.trusted')} <Code>{scan.data.trusted.fingerprint}</Code>
              </Text>
            )}
          </>
        )}
        {scan.data?.matches === true && <Text size="sm">{t('scan.matches')}</Text>}
        <ErrorNote error={error} />
        {shown && (
          <Group>
            <Button loading={busy} onClick={() => void install(scan.data?.matches !== true)}>
              {scan.data?.matches === true ? t('install') : t('trust_and_install')}
            </Button>
          </Group>
        )}
      </Stack>
    </Paper>
  );
}
