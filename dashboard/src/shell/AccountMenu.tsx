import { Menu, UnstyledButton } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { strongest } from '@/api/rights';
import { signOut, useMe } from '@/api/session';
import { ErrorNote } from '@/ui/ErrorNote';
import { useAttempt } from '@/ui/useAttempt';
import classes from './menus.module.css';

export function AccountMenu() {
  const { t } = useTranslation('shell');
  const me = useMe();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { error, attempt, forget } = useAttempt();
  if (me === undefined) return null;
  const role = strongest(me);
  const leave = () =>
    attempt(async () => {
      await signOut();
      queries.clear();
      await navigate({ to: '/login' });
    });
  return (
    <Menu position="bottom-end" onClose={forget}>
      <Menu.Target>
        <UnstyledButton className={classes.button} aria-label={t('account.menu', { name: me.user?.name ?? me.name })}>
          {me.user?.name ?? me.name}
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{role ? t(`role.${role}`) : t('role.none')}</Menu.Label>
        <Menu.Item component={Link} to="/account">
          {t('account.open')}
        </Menu.Item>
        <Menu.Item closeMenuOnClick={false} onClick={() => void leave()}>
          {t('account.sign_out')}
        </Menu.Item>
        <ErrorNote error={error} />
      </Menu.Dropdown>
    </Menu>
  );
}
