import { Skeleton, Text } from '@mantine/core';
import { useParams } from '@tanstack/react-router';
import { lazy, Suspense } from 'react';
import { useTranslation } from 'react-i18next';
import { useMay } from '@/api/session';
import type { Command } from '@/api/types';
import { ErrorNote } from '@/ui/ErrorNote';
import { FactList } from '@/ui/Facts';
import { ButtonLink, TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { StateBadge, StateStory } from '@/ui/StateBadge';
import { isFinal, standingOf } from '@/ui/states';
import { Duration, Time } from '@/ui/Time';
import { Attempts } from '../work/Attempts';
import { Cancel } from '../work/Cancel';
import { Changes } from '../work/Changes';
import { commandLine, repeatOf, shortened } from '../work/describe';
import { useThing } from '../work/useThing';
import { CommandFacts } from '../work/WorkFacts';
import { Receipt } from './Receipt';

const LogPanel = lazy(() => import('@/terminal/LogPanel').then((module) => ({ default: module.LogPanel })));

/** One command on one server: where it stands and why, what it said, how it ended. */
export function CommandPage() {
  const { commandId } = useParams({ strict: false }) as { commandId: string };
  const { t } = useTranslation('work');
  const { thing: command, error, again, take } = useThing<Command>('commands', commandId);
  const operator = useMay('operator');
  if (command === undefined) {
    return (
      <Page title={t('command.title')}>
        {error ? <ErrorNote error={error} onRetry={again} /> : <Skeleton h={300} />}
      </Page>
    );
  }
  const line = commandLine(command.command, command.args);
  const repeat = repeatOf(command, command.server_name);
  return (
    <Page
      title={shortened(line, 60)}
      aside={<StateBadge state={command.status} plain />}
      description={
        <>
          {t('command.on')}{' '}
          <TextLink to="/servers/$server" params={{ server: command.server_name }} size="sm" underline="always">
            {command.server_name}
          </TextLink>
        </>
      }
      actions={
        <>
          <Cancel noun="commands" id={command.id} status={command.status} onChange={take} />
          {operator && isFinal(command.status) && (
            <ButtonLink to="/run" search={repeat as never} variant="default">
              {t('command.again')}
            </ButtonLink>
          )}
        </>
      }
    >
      <ErrorNote error={error} onRetry={again} />
      <StateStory {...standingOf(command)} />
      <FactList
        items={[
          [t('receipt.exit_code'), command.exit_code === null ? null : String(command.exit_code)],
          [t('receipt.duration'), command.started_at && <Duration key="d" from={command.started_at} to={command.ended_at} />],
          [t('facts.requested_by'), command.requested_by],
        ]}
      />
      <CommandFacts command={command} />
      {command.log_purged_at ? (
        <Text c="dimmed">{t('command.purged')}</Text>
      ) : (
        <Suspense fallback={<Skeleton h={300} />}>
          <LogPanel
            key={command.id}
            kind="commands"
            id={command.id}
            size={command.log_size_bytes}
            label={t('output_of', { name: command.server_name })}
            onEnd={(document) => document && take(document as Command)}
          />
        </Suspense>
      )}
      {isFinal(command.status) && <Receipt command={command} />}
      <FactList
        items={[
          [t('facts.created'), <Time key="t" at={command.created_at} />],
          [t('facts.owner'), command.owner],
          [
            t('facts.job'),
            command.job_id && (
              <TextLink to="/jobs/$jobId" params={{ jobId: command.job_id }}>
                {command.job_id}
              </TextLink>
            ),
          ],
          [
            t('facts.schedule'),
            command.schedule_id && (
              <TextLink to="/schedules/$schedule" params={{ schedule: command.schedule_id }}>
                {command.schedule_id}
              </TextLink>
            ),
          ],
          [t('facts.id'), command.id],
        ]}
      />
      <Changes changes={command.changes} />
      <Attempts attempts={command.attempts} />
    </Page>
  );
}
