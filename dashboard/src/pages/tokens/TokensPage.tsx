import { Alert, Button, Skeleton, Stack, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allPages, request } from '@/api/client';
import { useMay, useMe } from '@/api/session';
import type { CreatedToken, Token } from '@/api/types';
import { Confirm } from '@/ui/Confirm';
import { CopyText } from '@/ui/CopyText';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { Time } from '@/ui/Time';
import { OfUser, useOfUser } from '../sessions/OfUser';
import { NewToken } from './NewToken';

/** Keys for programs: one's own, and those of others for who administrates everything. */
export function TokensPage() {
  const { t } = useTranslation(['tokens', 'shell', 'common']);
  const queries = useQueryClient();
  const me = useMe();
  const everywhere = useMay('admin', true);
  const [user, setUser] = useOfUser();
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<CreatedToken | null>(null);
  const [removed, setRemoved] = useState<Token | null>(null);
  const possible = me?.user != null || user !== '';
  const tokens = useQuery({
    queryKey: ['tokens', user],
    enabled: possible,
    queryFn: ({ signal }) => allPages<Token>('/tokens', { user }, signal),
  });
  const columns: Column<Token>[] = [
    { key: 'name', header: t('column.name'), width: 'minmax(8rem, 1.5fr)', sort: (one) => one.name, render: (one) => one.name },
    {
      key: 'cap',
      header: t('column.may'),
      width: 'minmax(9rem, 1.5fr)',
      render: (one) => `${t(`shell:role.${one.role}`)} · ${one.selector === 'all' ? t('everywhere') : one.selector}`,
    },
    { key: 'expires', header: t('column.expires'), width: '8rem', sort: (one) => one.expires_at ?? '9', render: (one) => (one.expires_at ? <Time at={one.expires_at} /> : t('never_expires')) },
    { key: 'used', header: t('column.used'), width: '8rem', wide: true, sort: (one) => one.last_used_at ?? '', render: (one) => (one.last_used_at ? <Time at={one.last_used_at} /> : t('common:never')) },
    { key: 'made', header: t('column.made'), width: '8rem', wide: true, render: (one) => <Time at={one.created_at} /> },
    {
      key: 'act',
      header: '',
      width: '6rem',
      align: 'right',
      render: (one) => (
        <Button variant="subtle" color="red" size="compact-sm" onClick={() => setRemoved(one)} aria-label={t('delete', { name: one.name })}>
          {t('common:remove')}
        </Button>
      ),
    },
  ];
  return (
    <Page
      title={t('title')}
      description={t('description')}
      actions={possible && <Button onClick={() => setMaking(true)}>{t('add')}</Button>}
    >
      {everywhere && <OfUser value={user} onChange={setUser} />}
      {made !== null && (
        <Alert color="green" withCloseButton onClose={() => setMade(null)} title={t('made.title', { name: made.name })}>
          <Stack gap="xs">
            <Text size="sm">{t('made.text')}</Text>
            <CopyText text={made.token} label={t('made.copy')} />
          </Stack>
        </Alert>
      )}
      <ErrorNote error={tokens.error} onRetry={() => void tokens.refetch()} />
      {!possible && <EmptyState title={t('root.title')} text={t('root.text')} />}
      {possible && tokens.isPending && <Skeleton h={200} />}
      {tokens.data && (
        <DataTable
          label={t('title')}
          rows={tokens.data}
          columns={columns}
          rowKey={(one) => one.id}
          empty={
            <EmptyState title={t('empty.title')} text={t('empty.text')}>
              <Button onClick={() => setMaking(true)}>{t('add')}</Button>
            </EmptyState>
          }
        />
      )}
      {making && (
        <NewToken
          user={user}
          onClose={() => setMaking(false)}
          onMade={(token) => {
            setMade(token);
            void queries.invalidateQueries({ queryKey: ['tokens'] });
          }}
        />
      )}
      <Confirm
        opened={removed !== null}
        onClose={() => setRemoved(null)}
        title={t('delete', { name: removed?.name ?? '' })}
        action={t('common:remove')}
        danger
        onConfirm={async () => {
          await request('DELETE', `/tokens/${removed?.id ?? ''}`);
          await queries.invalidateQueries({ queryKey: ['tokens'] });
        }}
      >
        {t('delete_text')}
      </Confirm>
    </Page>
  );
}
