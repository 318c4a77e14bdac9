import { Alert, Button, Paper, PasswordInput, Stack, Text, Title } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMe } from '@/api/session';
import { Grants } from '@/pages/users/Grants';
import { ErrorNote } from '@/ui/ErrorNote';
import { FactList } from '@/ui/Facts';
import { TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { useAttempt } from '@/ui/useAttempt';

/** Who one is, what one may do, and one's password. */
export function AccountPage() {
  const { t } = useTranslation('account');
  const me = useMe();
  if (me === undefined) return null;
  return (
    <Page title={t('title')}>
      <FactList
        items={[
          [t('name'), me.user?.name ?? me.name],
          [t('display_name'), me.user?.display_name],
          [t('rights'), <Grants key="grants" grants={me.grants} />],
        ]}
      />
      <Text size="sm">
        <TextLink to="/sessions">{t('sessions')}</TextLink> · <TextLink to="/tokens">{t('tokens')}</TextLink>
      </Text>
      {me.via === 'session' && <PasswordForm />}
    </Page>
  );
}

function PasswordForm() {
  const { t } = useTranslation('account');
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const [done, setDone] = useState(false);
  const { busy, error, said, attempt } = useAttempt();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setDone(false);
    void attempt(async () => {
      await request('POST', '/session/password', { body: { old_password: old, new_password: fresh } });
      setDone(true);
      setOld('');
      setFresh('');
    });
  };
  return (
    <Paper withBorder p="md" maw={460}>
      <form onSubmit={submit}>
        <Stack>
          <Title order={2} size="h5">
            {t('password')}
          </Title>
          <PasswordInput label={t('old')} required autoComplete="current-password" value={old} onChange={(event) => setOld(event.currentTarget.value)} error={said.old_password} visibilityToggleButtonProps={{ 'aria-label': t('show') }} />
          <PasswordInput
            label={t('new')}
            description={t('new_help')}
            required
            minLength={12}
            autoComplete="new-password"
            value={fresh}
            onChange={(event) => setFresh(event.currentTarget.value)}
            error={said.new_password}
            visibilityToggleButtonProps={{ 'aria-label': t('show') }}
          />
          <ErrorNote error={error} />
          {done && <Alert color="green">{t('done')}</Alert>}
          <Button type="submit" loading={busy} w="fit-content">
            {t('change')}
          </Button>
        </Stack>
      </form>
    </Paper>
  );
}
