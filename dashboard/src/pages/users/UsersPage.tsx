import { Button, Skeleton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allPages } from '@/api/client';
import type { User } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import { Grants } from './Grants';
import { UserDialog } from './UserDialog';

/** Who may come in, and what each may do. */
export function UsersPage() {
  const { t } = useTranslation('users');
  const [edited, setEdited] = useState<User | 'new' | null>(null);
  const users = useQuery({ queryKey: ['users'], queryFn: ({ signal }) => allPages<User>('/users', {}, signal) });
  const columns: Column<User>[] = [
    {
      key: 'name',
      header: t('column.name'),
      width: 'minmax(5rem, 1.2fr)',
      sort: (user) => user.name,
      render: (user) => (
        <Button variant="transparent" size="compact-sm" p={0} onClick={() => setEdited(user)}>
          {user.name}
        </Button>
      ),
    },
    { key: 'display', header: t('column.display_name'), render: (user) => user.display_name, wide: true },
    { key: 'kind', header: t('column.kind'), width: '6rem', render: (user) => t(`kind.${user.kind}`), wide: true },
    { key: 'grants', header: t('column.grants'), width: 'minmax(7rem, 2fr)', render: (user) => <Grants grants={user.grants} /> },
    {
      key: 'state',
      header: t('column.state'),
      width: '6rem',
      render: (user) => <StateBadge state={user.disabled ? 'disabled' : 'enabled'} plain />,
    },
    { key: 'login', header: t('column.last_login'), width: '8rem', wide: true, render: (user) => <Time at={user.last_login_at} /> },
  ];
  return (
    <Page title={t('title')} description={t('description')} actions={<Button onClick={() => setEdited('new')}>{t('add')}</Button>}>
      <ErrorNote error={users.error} onRetry={() => void users.refetch()} />
      {users.isPending && <Skeleton h={200} />}
      {users.data && <DataTable label={t('title')} rows={users.data} columns={columns} rowKey={(user) => user.id} />}
      {edited !== null && (
        <UserDialog key={edited === 'new' ? 'new' : edited.id} user={edited === 'new' ? null : edited} onClose={() => setEdited(null)} />
      )}
    </Page>
  );
}
