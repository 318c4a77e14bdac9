import { Alert, Button, Group, Paper, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { Deployment } from '@/api/types';
import { Cure } from '@/ui/Cure';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { isFinal, standingOf } from '@/ui/states';
import { StepList } from '@/ui/StepList';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';

const LogPanel = lazy(async () => ({ default: (await import('@/terminal/LogPanel')).LogPanel }));
const ASK_MS = 1000;

interface InstallProps {
  server: string;
  deployment: string;
  onAgain: (deployment: string) => void;
}

/** The install, step by step, with what it writes; at its end what can be done next. */
export function InstallStep({ server, deployment, onAgain }: InstallProps) {
  const { t } = useTranslation('add_server');
  const queries = useQueryClient();
  const query = useQuery({
    queryKey: ['deployments', 'one', deployment],
    queryFn: ({ signal }) => request<Deployment>('GET', `/deployments/${encodeURIComponent(deployment)}`, { signal }),
    refetchInterval: ({ state }) => (state.data && isFinal(state.data.status) ? false : ASK_MS),
  });
  const install = query.data;
  const over = install !== undefined && isFinal(install.status);
  useEffect(() => {
    if (over) void queries.invalidateQueries({ queryKey: ['servers'] });
  }, [over, queries]);
  if (install === undefined) return query.error ? <ErrorNote error={query.error} /> : <Skeleton h={240} />;
  return (
    <Stack>
      <Paper withBorder p="md">
        <Group justify="space-between" mb="sm">
          <Title order={2} size="h5">
            {t('installing', { server })}
          </Title>
          <StateBadge {...standingOf(install)} />
        </Group>
        <StepList steps={install.steps} />
        {install.status === 'success' && (
          <Alert color="green" mt="md" title={t('done.title')}>
            <Text size="sm">{t('done.text')}</Text>
            <Group mt="sm">
              <ButtonLink to="/servers/$server" params={{ server }} size="compact-md">
                {t('done.open')}
              </ButtonLink>
              <ButtonLink to="/run" search={{ servers: server } as never} size="compact-md" variant="default">
                {t('done.run')}
              </ButtonLink>
              <ButtonLink to="/servers/new" size="compact-md" variant="default">
                {t('done.another')}
              </ButtonLink>
            </Group>
          </Alert>
        )}
        {over && install.status !== 'success' && <Failed install={install} onAgain={onAgain} />}
      </Paper>
      <Suspense fallback={<Skeleton h={200} />}>
        <LogPanel kind="deployments" id={deployment} size={install.log_size_bytes} label={t('log')} height="20rem" />
      </Suspense>
    </Stack>
  );
}

function Failed({ install, onAgain }: { install: Deployment; onAgain: (deployment: string) => void }) {
  const { t } = useTranslation('add_server');
  const keyOf = useIdempotencyKey();
  const { error, attempt } = useAttempt();
  const again = () =>
    attempt(async () => {
      const body = { server: install.server_name, kind: 'install_agent' };
      onAgain((await request<Deployment>('POST', '/deployments', { body, headers: keyOf(body) })).id);
    });
  return (
    <Alert color="red" mt="md" title={t('failed.title')}>
      <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
        {install.message}
      </Text>
      <Cure reason={install.reason} cure={install.cure} />
      <Group mt="sm">
        <Button size="compact-md" onClick={() => void again()}>
          {t('failed.again')}
        </Button>
        <Button size="compact-md" variant="default" onClick={() => onAgain('')}>
          {t('failed.host_key')}
        </Button>
        <ButtonLink to="/servers/$server" params={{ server: install.server_name }} size="compact-md" variant="default">
          {t('failed.open')}
        </ButtonLink>
      </Group>
      <ErrorNote error={error} />
    </Alert>
  );
}
