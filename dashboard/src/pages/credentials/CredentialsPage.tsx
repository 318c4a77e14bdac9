import { Button, Skeleton } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allPages, request } from '@/api/client';
import type { Credential } from '@/api/types';
import { Confirm } from '@/ui/Confirm';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { Time } from '@/ui/Time';
import { NewCredential } from './NewCredential';

/** SSH logins that several servers share. Their secrets go in and are never shown. */
export function CredentialsPage() {
  const { t } = useTranslation(['credentials', 'common']);
  const queries = useQueryClient();
  const [adding, setAdding] = useState(false);
  const [removed, setRemoved] = useState<Credential | null>(null);
  const list = useQuery({ queryKey: ['credentials', 'all'], queryFn: ({ signal }) => allPages<Credential>('/credentials', {}, signal) });
  const columns: Column<Credential>[] = [
    { key: 'name', header: t('column.name'), sort: (one) => one.name, render: (one) => one.name },
    { key: 'type', header: t('column.type'), width: '8rem', render: (one) => t(`type.${one.type}`) },
    { key: 'user', header: t('column.user'), width: '8rem', wide: true, render: (one) => one.user || 'root' },
    { key: 'key', header: t('column.fingerprint'), width: 'minmax(8rem, 2fr)', wide: true, render: (one) => one.public_key_fingerprint },
    {
      key: 'used',
      header: t('column.used_by'),
      width: '8rem',
      sort: (one) => one.used_by_count,
      render: (one) => <span title={one.used_by.join(', ')}>{t('servers', { count: one.used_by_count })}</span>,
    },
    { key: 'changed', header: t('column.changed'), width: '8rem', wide: true, render: (one) => <Time at={one.updated_at} /> },
    {
      key: 'act',
      header: '',
      width: '6rem',
      align: 'right',
      render: (one) => (
        <Button variant="subtle" color="red" size="compact-sm" onClick={() => setRemoved(one)}>
          {t('common:remove')}
        </Button>
      ),
    },
  ];
  return (
    <Page title={t('title')} description={t('description')} actions={<Button onClick={() => setAdding(true)}>{t('add')}</Button>}>
      <ErrorNote error={list.error} onRetry={() => void list.refetch()} />
      {list.isPending && <Skeleton h={200} />}
      {list.data && (
        <DataTable
          label={t('title')}
          rows={list.data}
          columns={columns}
          rowKey={(one) => one.id}
          empty={
            <EmptyState title={t('empty.title')} text={t('empty.text')}>
              <Button onClick={() => setAdding(true)}>{t('add')}</Button>
            </EmptyState>
          }
        />
      )}
      {adding && <NewCredential onClose={() => setAdding(false)} />}
      <Confirm
        opened={removed !== null}
        onClose={() => setRemoved(null)}
        title={t('remove', { name: removed?.name ?? '' })}
        action={t('common:remove')}
        danger
        onConfirm={async () => {
          const force = (removed?.used_by_count ?? 0) > 0;
          await request('DELETE', `/credentials/${removed?.id ?? ''}`, { query: { force: force || undefined } });
          await queries.invalidateQueries({ queryKey: ['credentials'] });
        }}
      >
        {t('remove_text', { count: removed?.used_by_count ?? 0 })}
      </Confirm>
    </Page>
  );
}
