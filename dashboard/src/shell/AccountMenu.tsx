import { Menu, UnstyledButton } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { strongest } from '@/api/rights';
import { signOut, useMe } from '@/api/session';
import classes from './menus.module.css';

export function AccountMenu() {
  const { t } = useTranslation('shell');
  const me = useMe();
  const navigate = useNavigate();
  const queries = useQueryClient();
  if (me === undefined) return null;
  const role = strongest(me);
  const leave = async () => {
    await signOut();
    queries.clear();
    await navigate({ to: '/login' });
  };
  return (
    <Menu position="bottom-end">
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
        <Menu.Item onClick={() => void leave()}>{t('account.sign_out')}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
