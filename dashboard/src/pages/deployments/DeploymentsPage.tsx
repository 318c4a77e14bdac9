import { Group, Select, Skeleton, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useTranslation } from 'react-i18next';
import { useMay } from '@/api/session';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import type { Deployment } from '@/api/types';
import { useUrlState } from '@/ui/useUrlState';
import { COMMAND_STATES, StatusFilter, useStatuses } from '../work/StatusFilter';
import { useList } from '../work/useList';
import { KINDS } from '../work/WhatFields';
import { DeploymentTable } from './DeploymentTable';

/** All deployments, newest first. */
export function DeploymentsPage() {
  const { t } = useTranslation('work');
  const [server, setServer] = useUrlState('server');
  const [kind, setKind] = useUrlState('kind');
  const [statuses, setStatuses] = useStatuses(COMMAND_STATES);
  const [settled] = useDebouncedValue(server.trim(), 300);
  const list = useList<Deployment>('deployments', { server: settled, kind, status: statuses });
  const start = useMay('operator') && <ButtonLink to="/deployments/new">{t('deploy.new')}</ButtonLink>;
  return (
    <Page title={t('deployments.title')} description={t('deployments.about')} actions={start}>
      <Group align="flex-end" gap="sm">
        <TextInput
          label={t('column.server')}
          placeholder={t('filter.any_server')}
          value={server}
          onChange={(event) => setServer(event.currentTarget.value)}
          data-filter
          w={{ base: '100%', sm: 220 }}
        />
        <Select
          label={t('form.kind')}
          placeholder={t('filter.any_kind')}
          data={['playbook', ...KINDS].map((value) => ({ value, label: t(`kind.${value}`) }))}
          value={kind === '' ? null : kind}
          onChange={(value) => setKind(value ?? '')}
          clearable
          w={{ base: '100%', sm: 220 }}
        />
        <StatusFilter known={COMMAND_STATES} value={statuses} onChange={setStatuses} />
      </Group>
      <ErrorNote error={list.error} onRetry={list.again} />
      {list.isPending ? (
        <Skeleton h={300} />
      ) : (
        <DeploymentTable
          rows={list.items}
          onEnd={list.more}
          empty={
            !list.error && (
              <EmptyState title={t('deployments.empty.title')} text={t('deployments.empty.text')}>
                {start}
              </EmptyState>
            )
          }
        />
      )}
    </Page>
  );
}
