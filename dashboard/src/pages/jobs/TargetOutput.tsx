import { Group, Paper, Stack, Text } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import type { JobTarget } from '@/api/types';
import { TextLink } from '@/ui/Link';
import { StateBadge } from '@/ui/StateBadge';
import { targetStanding } from './targets';

const LogPanel = lazy(() => import('@/terminal/LogPanel').then((module) => ({ default: module.LogPanel })));

interface TargetOutputProps {
  target: JobTarget | undefined;
  kind: 'commands' | 'deployments';
}

/** What one host of a job says. */
export function TargetOutput({ target, kind }: TargetOutputProps) {
  const { t } = useTranslation('work');
  if (target === undefined) return null;
  const { command_id: id } = target;
  return (
    <Stack gap="xs">
      <Group gap="xs">
        <Text fw={600} data-testid="output-of">
          {target.server_name}
        </Text>
        <StateBadge {...targetStanding(target)} />
        {target.exit_code !== null && <Text size="sm">{t('exit', { code: target.exit_code })}</Text>}
        {id !== '' &&
          (kind === 'commands' ? (
            <TextLink size="sm" to="/commands/$commandId" params={{ commandId: id }}>
              {t('job.open_command')}
            </TextLink>
          ) : (
            <TextLink size="sm" to="/deployments/$deploymentId" params={{ deploymentId: id }}>
              {t('job.open_deployment')}
            </TextLink>
          ))}
      </Group>
      {target.message !== '' && (
        <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
          {target.message}
        </Text>
      )}
      {id === '' ? (
        <Paper withBorder p="md">
          <Text c="dimmed">{t(`job.nothing_yet.${target.status === 'waiting' ? 'waiting' : 'never'}`)}</Text>
        </Paper>
      ) : (
        <Suspense fallback={<Text c="dimmed">{t('loading')}</Text>}>
          <LogPanel
            key={id}
            kind={kind}
            id={id}
            size={target.log_size_bytes}
            label={t('output_of', { name: target.server_name })}
            height="min(52dvh, 36rem)"
          />
        </Suspense>
      )}
    </Stack>
  );
}
