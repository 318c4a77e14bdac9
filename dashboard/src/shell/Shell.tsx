import { AppShell, Burger, Group, MantineThemeProvider, NavLink, ScrollArea, Text, UnstyledButton } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { Link, Outlet, useRouterState } from '@tanstack/react-router';
import { useEffect, useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { useMe } from '@/api/session';
import { useLiveEvents } from '@/api/live';
import { AccountMenu } from './AccountMenu';
import { ConnectionBanner } from './ConnectionBanner';
import { LanguageMenu, ThemeMenu } from './menus';
import { entriesFor } from './navigation';
import { Shortcuts } from './Shortcuts';
import classes from './Shell.module.css';

/** What is around every page once somebody is signed in. */
export function Shell() {
  const { t } = useTranslation(['shell', 'common']);
  const [opened, { toggle, close }] = useDisclosure(false);
  const me = useMe();
  const path = useRouterState({ select: (state) => state.location.pathname });
  useEffect(close, [path, close]);
  useLiveEvents();
  // The cross in the corner of every dialog has no words of its own.
  const closes = t('common:close');
  const theme = useMemo(
    () => ({ components: { Modal: { defaultProps: { closeButtonProps: { 'aria-label': closes } } } } }),
    [closes],
  );
  return (
    <MantineThemeProvider theme={theme}>
      <AppShell
        header={{ height: 48 }}
        navbar={{ width: 200, breakpoint: 'sm', collapsed: { mobile: !opened } }}
        padding="md"
      >
        <a href="#main" className={classes.skip}>
          {t('skip')}
        </a>
        <AppShell.Header>
          <Group h="100%" px="sm" justify="space-between" wrap="nowrap">
            <Group gap="xs" wrap="nowrap">
              <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={t('menu')} />
              <UnstyledButton component={Link} to="/" className={classes.brand}>
                <img src="/favicon.svg" alt="" width={22} height={22} />
                <Text fw={700}>MyX</Text>
              </UnstyledButton>
            </Group>
            <Group gap={4} wrap="nowrap">
              <Shortcuts />
              <LanguageMenu />
              <ThemeMenu />
              <AccountMenu />
            </Group>
          </Group>
        </AppShell.Header>
        <AppShell.Navbar p="xs" aria-label={t('navigation')}>
          <ScrollArea>
            {entriesFor(me).map((entry) => (
              <NavLink
                key={entry.to}
                component={Link}
                to={entry.to}
                label={t(`nav.${entry.name}`)}
                active={entry.to === '/' ? path === '/' : path.startsWith(entry.to)}
                aria-current={path === entry.to ? 'page' : undefined}
                className={classes.entry}
              />
            ))}
          </ScrollArea>
        </AppShell.Navbar>
        <AppShell.Main id="main" tabIndex={-1} className={classes.main}>
          <ConnectionBanner />
          <Outlet />
        </AppShell.Main>
      </AppShell>
    </MantineThemeProvider>
  );
}
