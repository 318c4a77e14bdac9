import { Button, Skeleton } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allPages, request } from '@/api/client';
import { useMay, useMe } from '@/api/session';
import type { Session } from '@/api/types';
import { Confirm } from '@/ui/Confirm';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import { browserOf } from './browser';
import { OfUser, useOfUser } from './OfUser';

/** The browsers in which somebody is signed in; each can be signed out from here. */
export function SessionsPage() {
  const { t } = useTranslation('sessions');
  const queries = useQueryClient();
  const me = useMe();
  const everywhere = useMay('admin', true);
  const [user, setUser] = useOfUser();
  const [ended, setEnded] = useState<Session | null>(null);
  const possible = me?.user != null || user !== '';
  const sessions = useQuery({
    queryKey: ['sessions', user],
    enabled: possible,
    queryFn: ({ signal }) => allPages<Session>('/sessions', { user }, signal),
  });
  const columns: Column<Session>[] = [
    {
      key: 'browser',
      header: t('column.browser'),
      width: 'minmax(9rem, 2fr)',
      render: (one) => (
        <span title={one.user_agent}>
          {browserOf(one.user_agent) || t('unknown_browser')} {one.current && <StateBadge state="current" plain />}
        </span>
      ),
    },
    { key: 'address', header: t('column.address'), render: (one) => one.address },
    { key: 'used', header: t('column.used'), width: '8rem', sort: (one) => one.last_used_at ?? '', render: (one) => <Time at={one.last_used_at} /> },
    { key: 'began', header: t('column.began'), width: '8rem', wide: true, sort: (one) => one.created_at, render: (one) => <Time at={one.created_at} /> },
    { key: 'ends', header: t('column.ends'), width: '8rem', wide: true, render: (one) => <Time at={one.expires_at} /> },
    {
      key: 'act',
      header: '',
      width: '6rem',
      align: 'right',
      render: (one) =>
        !one.current && (
          <Button variant="subtle" color="red" size="compact-sm" onClick={() => setEnded(one)}>
            {t('end')}
          </Button>
        ),
    },
  ];
  return (
    <Page title={t('title')} description={t('description')}>
      {everywhere && <OfUser value={user} onChange={setUser} />}
      <ErrorNote error={sessions.error} onRetry={() => void sessions.refetch()} />
      {possible && sessions.isPending && <Skeleton h={200} />}
      {sessions.data && (
        <DataTable
          label={t('title')}
          rows={sessions.data}
          columns={columns}
          rowKey={(one) => one.id}
          empty={<EmptyState title={t('empty.title')} text={t('empty.text')} />}
        />
      )}
      <Confirm
        opened={ended !== null}
        onClose={() => setEnded(null)}
        title={t('end_title')}
        action={t('end')}
        danger
        onConfirm={async () => {
          await request('DELETE', `/sessions/${ended?.id ?? ''}`);
          await queries.invalidateQueries({ queryKey: ['sessions'] });
        }}
      >
        {t('end_text')}
      </Confirm>
    </Page>
  );
}
