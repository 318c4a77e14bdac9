import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Grant } from '@/api/types';

/** Roles and where they are held, as one line. */
export function Grants({ grants }: { grants: readonly Grant[] }) {
  const { t } = useTranslation(['users', 'shell']);
  if (grants.length === 0)
    return (
      <Text size="sm" c="dimmed" component="span">
        {t('no_grants')}
      </Text>
    );
  return (
    <>
      {grants.map((grant, index) => (
        <span key={`${grant.role} ${grant.selector}`} title={grant.selector}>
          {index > 0 && ' · '}
          <b>{t(`shell:role.${grant.role}`)}</b> {grant.selector === 'all' ? t('everywhere') : grant.selector}
        </span>
      ))}
    </>
  );
}
