import { Button, Center, Group, Paper, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { type FormEvent, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { sessionQuery, signIn } from '@/api/session';
import { ConnectionBanner } from '@/shell/ConnectionBanner';
import { LanguageMenu, ThemeMenu } from '@/shell/menus';
import { ErrorNote } from '@/ui/ErrorNote';
import { useAttempt } from '@/ui/useAttempt';
import { innerAddress } from './address';

export function LoginPage() {
  const { t } = useTranslation('login');
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { next } = useSearch({ strict: false }) as { next?: string };
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, attempt } = useAttempt();
  useEffect(() => {
    document.title = `${t('title')} · MyX`;
  }, [t]);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const isIn = await attempt(async () => {
      const state = await signIn(name.trim(), password);
      queries.clear();
      queries.setQueryData(sessionQuery.queryKey, state);
      await navigate({ href: innerAddress(next) });
    });
    if (!isIn) setPassword('');
  };
  return (
    <Center component="main" mih="100dvh" p="md">
      <Stack w="100%" maw={380}>
        <Group justify="space-between">
          <Group gap="xs">
            <img src="/favicon.svg" alt="" width={28} height={28} />
            <Title order={1} size="h3">
              {t('title')}
            </Title>
          </Group>
          <Group gap={0}>
            <LanguageMenu />
            <ThemeMenu />
          </Group>
        </Group>
        <ConnectionBanner />
        <Paper withBorder p="lg" radius="md">
          <form onSubmit={submit}>
            <Stack>
              <TextInput
                label={t('name')}
                name="username"
                autoComplete="username"
                autoCapitalize="off"
                autoFocus
                required
                value={name}
                onChange={(event) => setName(event.currentTarget.value)}
              />
              <PasswordInput
                label={t('password')}
                name="password"
                autoComplete="current-password"
                required
                value={password}
                onChange={(event) => setPassword(event.currentTarget.value)}
                visibilityToggleButtonProps={{ 'aria-label': t('show') }}
              />
              <ErrorNote error={error} />
              <Button type="submit" loading={busy}>
                {t('submit')}
              </Button>
            </Stack>
          </form>
        </Paper>
        <Text size="sm" c="dimmed">
          {t('first_time')}
        </Text>
      </Stack>
    </Center>
  );
}
