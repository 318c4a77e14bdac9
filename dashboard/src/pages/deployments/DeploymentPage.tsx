import { Button, Modal, PasswordInput, Skeleton, Stack, Text } from '@mantine/core';
import { useNavigate, useParams } from '@tanstack/react-router';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMay } from '@/api/session';
import type { Deployment } from '@/api/types';
import { Cure } from '@/ui/Cure';
import { ErrorNote } from '@/ui/ErrorNote';
import { FactList } from '@/ui/Facts';
import { TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge, StateStory } from '@/ui/StateBadge';
import { isFinal, standingOf } from '@/ui/states';
import { Duration, Time } from '@/ui/Time';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';
import { Cancel } from '../work/Cancel';
import { Changes } from '../work/Changes';
import { deploymentName } from '../work/describe';
import { useThing } from '../work/useThing';
import { DeploymentFacts } from '../work/WorkFacts';
import { Steps } from './Steps';
import { Tasks } from './Tasks';

const LogPanel = lazy(() => import('@/terminal/LogPanel').then((module) => ({ default: module.LogPanel })));

/** One deployment on one server: its steps, its tasks, its log, and what to do when it failed. */
export function DeploymentPage() {
  const { deploymentId } = useParams({ strict: false }) as { deploymentId: string };
  const { t } = useTranslation('work');
  const { thing, error, again, take } = useThing<Deployment>('deployments', deploymentId);
  if (thing === undefined) {
    return (
      <Page title={t('deploy.title')}>
        {error ? <ErrorNote error={error} onRetry={again} /> : <Skeleton h={300} />}
      </Page>
    );
  }
  const name = deploymentName(t, thing);
  return (
    <Page
      title={name}
      aside={<StateBadge state={thing.status} plain />}
      description={
        <>
          {t('command.on')}{' '}
          <TextLink to="/servers/$server" params={{ server: thing.server_name }} size="sm" underline="always">
            {thing.server_name}
          </TextLink>
          {thing.check && ` · ${t('deploy.check_long')}`}
        </>
      }
      actions={
        <>
          <Cancel noun="deployments" id={thing.id} status={thing.status} onChange={take} />
          <Retry key={thing.id} deployment={thing} />
        </>
      }
    >
      <ErrorNote error={error} onRetry={again} />
      <StateStory {...standingOf(thing)} />
      <Cure reason={thing.reason} cure={thing.cure} />
      <Steps steps={thing.steps} />
      <RecapLine deployment={thing} />
      <Tasks id={thing.id} />
      <Suspense fallback={<Skeleton h={300} />}>
        <LogPanel
          key={thing.id}
          kind="deployments"
          id={thing.id}
          size={thing.log_size_bytes}
          label={t('output_of', { name: thing.server_name })}
          onEnd={(document) => document && take(document as Deployment)}
        />
      </Suspense>
      <DeploymentFacts deployment={thing} />
      <DeploymentOrigin deployment={thing} />
      <Changes changes={thing.changes} />
    </Page>
  );
}

function RecapLine({ deployment }: { deployment: Deployment }) {
  const { t } = useTranslation('work');
  const { recap } = deployment;
  if (!recap) return null;
  const parts = (['ok', 'changed', 'failed', 'skipped', 'unreachable', 'rescued', 'ignored'] as const)
    .filter((name) => recap[name] > 0 || name === 'ok' || name === 'changed' || name === 'failed')
    .map((name) => `${t(`recap.${name}`)} ${recap[name]}`);
  return (
    <Text size="sm" data-testid="recap">
      <b>{t('recap.title')}</b> {parts.join(' · ')}
    </Text>
  );
}

function DeploymentOrigin({ deployment }: { deployment: Deployment }) {
  const { t } = useTranslation('work');
  return (
    <FactList
      items={[
        [t('field.method_used'), deployment.method_used && t(`method.${deployment.method_used}`)],
        [t('field.project_version'), deployment.project_version],
        ...Object.entries(deployment.details).map(([key, value]) => [key, value] as const),
        [t('facts.requested_by'), deployment.requested_by],
        [t('facts.created'), <Time key="t" at={deployment.created_at} />],
        [t('facts.took'), deployment.started_at && <Duration from={deployment.started_at} to={deployment.ended_at} />],
        [t('facts.owner'), deployment.owner],
        [
          t('facts.job'),
          deployment.job_id && (
            <TextLink to="/jobs/$jobId" params={{ jobId: deployment.job_id }}>
              {deployment.job_id}
            </TextLink>
          ),
        ],
        [
          t('facts.retry_of'),
          deployment.retry_of && (
            <TextLink to="/deployments/$deploymentId" params={{ deploymentId: deployment.retry_of }}>
              {deployment.retry_of}
            </TextLink>
          ),
        ],
        [t('facts.id'), deployment.id],
      ]}
    />
  );
}

/** Makes a new deployment with the same content; secrets that are gone are asked for. */
function Retry({ deployment }: { deployment: Deployment }) {
  const { t } = useTranslation('work');
  const navigate = useNavigate();
  const may = useMay('operator');
  const [opened, setOpened] = useState(false);
  const [secrets, setSecrets] = useState<Record<string, string>>({});
  const keyOf = useIdempotencyKey();
  const { busy, error, attempt } = useAttempt();
  if (!may || !isFinal(deployment.status)) return null;
  const names = deployment.secret_var_names;
  const start = () =>
    attempt(async () => {
      const body = { secret_vars: secrets };
      const made = await request<Deployment>('POST', `/deployments/${deployment.id}/retry`, { body, headers: keyOf(body) });
      setOpened(false);
      void navigate({ to: '/deployments/$deploymentId', params: { deploymentId: made.id } as never });
    });
  return (
    <>
      <Button variant="default" onClick={() => setOpened(true)}>
        {t('action.retry')}
      </Button>
      <Modal opened={opened} onClose={() => setOpened(false)} title={t('action.retry')} centered>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void start();
          }}
        >
          <Stack>
            <Text size="sm">{t('deploy.retry', { name: deployment.server_name })}</Text>
            {names.map((name) => (
              <PasswordInput
                key={name}
                label={t('retry.secret', { name })}
                value={secrets[name] ?? ''}
                onChange={(event) => setSecrets({ ...secrets, [name]: event.currentTarget.value })}
                autoComplete="off"
              />
            ))}
            <ErrorNote error={error} />
            <Button type="submit" loading={busy}>
              {t('retry.start')}
            </Button>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
