import { NativeSelect } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { allPages } from '@/api/client';
import { useMe } from '@/api/session';
import type { User } from '@/api/types';
import { useUrlState } from '@/ui/useUrlState';

export function useOfUser(): [string, (user: string) => void] {
  return useUrlState('user');
}

/** Whose things are shown; empty: one's own. */
export function OfUser({ value, onChange }: { value: string; onChange: (user: string) => void }) {
  const { t } = useTranslation('sessions');
  const me = useMe();
  const users = useQuery({ queryKey: ['users'], queryFn: ({ signal }) => allPages<User>('/users', {}, signal) });
  const names = users.data?.map((user) => user.name).filter((name) => name !== me?.user?.name) ?? [];
  return (
    <NativeSelect
      w={260}
      label={t('of')}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      data={[{ value: '', label: t('mine') }, ...names]}
    />
  );
}
