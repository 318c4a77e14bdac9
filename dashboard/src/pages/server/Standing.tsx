import { Alert, Button, Group, List, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMayOn } from '@/api/session';
import type { Server } from '@/api/types';
import { useCauses } from '@/ui/causes';
import { Confirm } from '@/ui/Confirm';
import { ErrorNote } from '@/ui/ErrorNote';
import { duration } from '@/ui/format';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Time } from '@/ui/Time';
import { useAttempt } from '@/ui/useAttempt';

/** What is out of the ordinary, why, and what can be done about it; nothing when all is well. */
export function Standing({ server }: { server: Server }) {
  const { t, i18n } = useTranslation(['server', 'states']);
  const admin = useMayOn('admin', server);
  const operator = useMayOn('operator', server);
  const causeOf = useCauses();
  const { agent, pause, maintenance } = server;
  return (
    <>
      {agent === null && (
        <Alert color="blue" title={t('no_agent.title')}>
          <Text size="sm">{t('no_agent.text')}</Text>
          {admin && (
            <ButtonLink to="/servers/new" search={{ server: server.name } as never} size="compact-md" mt="sm">
              {t('no_agent.install')}
            </ButtonLink>
          )}
        </Alert>
      )}
      {agent !== null && agent.status !== 'online' && agent.status_reason !== '' && (
        <Alert color={agent.status === 'offline' ? 'red' : 'orange'} title={t(`states:name.${agent.status}`)}>
          <Text size="sm">
            {causeOf(agent.status_reason)} · <Time at={agent.status_since} />
          </Text>
          {agent.status_message && (
            <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
              {agent.status_message}
            </Text>
          )}
          {agent.last_attempts.length > 0 && (
            <List size="sm" mt={4}>
              {agent.last_attempts.map((attempt) => (
                <List.Item key={attempt.at}>
                  <Time at={attempt.at} absolute /> {attempt.cause === '' ? t('attempt_ok') : causeOf(attempt.cause)}
                  {attempt.wait_s ? ` · ${t('waited', { time: duration(attempt.wait_s, i18n.language) })}` : ''}
                </List.Item>
              ))}
            </List>
          )}
          <Text size="sm" mt={4}>
            {pause ? t('next_paused') : t(`next.${server.repair_policy}`)}
          </Text>
        </Alert>
      )}
      {agent?.quarantine && (
        <Alert color="red" title={t('states:name.quarantined')}>
          <Text size="sm">{t('states:meaning.quarantined')}</Text>
          <Text size="sm">
            {t('quarantine', { expected: agent.quarantine.expected_machine_id, found: agent.quarantine.found_machine_id })}
          </Text>
          {admin && <AcceptMachine server={server.name} />}
        </Alert>
      )}
      {pause && (
        <Alert color="gray" title={t('states:name.paused')}>
          <Group gap="md">
            <Text size="sm">
              {t('paused_until')} <Time at={pause.until} absolute /> · {pause.reason || t('no_reason')} · {pause.actor}
            </Text>
            {operator && <ResumeButton server={server.name} />}
          </Group>
        </Alert>
      )}
      {maintenance && (
        <Alert color="blue" title={t('states:name.maintenance')}>
          <Text size="sm">
            {t('maintenance', { kind: maintenance.kind, actor: maintenance.actor })} <Time at={maintenance.since} />{' '}
            <TextLink to="/deployments/$deploymentId" params={{ deploymentId: maintenance.holder }} size="sm">
              {t('maintenance_open')}
            </TextLink>
          </Text>
        </Alert>
      )}
    </>
  );
}

function ResumeButton({ server }: { server: string }) {
  const { t } = useTranslation('server');
  const queries = useQueryClient();
  const { busy, error, attempt } = useAttempt();
  const resume = () =>
    attempt(async () => {
      await request('POST', '/servers/resume', { body: { servers: [server] } });
      await queries.invalidateQueries({ queryKey: ['servers'] });
    });
  return (
    <>
      <Button size="compact-sm" loading={busy} onClick={() => void resume()}>
        {t('resume')}
      </Button>
      <ErrorNote error={error} />
    </>
  );
}

function AcceptMachine({ server }: { server: string }) {
  const { t } = useTranslation('server');
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  return (
    <>
      <Button size="compact-sm" mt="xs" onClick={() => setOpened(true)}>
        {t('accept.open')}
      </Button>
      <Confirm
        opened={opened}
        onClose={() => setOpened(false)}
        title={t('accept.title')}
        action={t('accept.open')}
        onConfirm={async () => {
          await request('POST', `/servers/${encodeURIComponent(server)}/accept-machine`);
          await queries.invalidateQueries({ queryKey: ['servers'] });
        }}
      >
        {t('accept.text')}
      </Confirm>
    </>
  );
}
