import { Button, Group, NativeSelect, Paper, PasswordInput, SegmentedControl, SimpleGrid, Stack, Text, Textarea, TextInput } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useId, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type PageOf, request } from '@/api/client';
import { useMay } from '@/api/session';
import type { Credential, Server } from '@/api/types';
import { ErrorNote } from '@/ui/ErrorNote';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';
import { EMPTY, type Login, requestOf, type ServerFields } from './newServer';

/** Address, login and labels of a new server. The secrets leave the page with the request and are kept nowhere in it. */
export function ServerForm({ onAdded }: { onAdded: (name: string) => void }) {
  const { t } = useTranslation('add_server');
  const queries = useQueryClient();
  const [fields, setFields] = useState<ServerFields>(EMPTY);
  const keyOf = useIdempotencyKey();
  const { busy, error, said, attempt } = useAttempt();
  const set = (name: keyof ServerFields) => (event: { currentTarget: { value: string } }) => {
    const { value } = event.currentTarget;
    setFields((before) => ({ ...before, [name]: value }));
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(async () => {
      const body = requestOf(fields);
      const server = await request<Server>('POST', '/servers', { body, headers: keyOf(body) });
      await queries.invalidateQueries({ queryKey: ['servers'] });
      onAdded(server.name);
    });
  };
  return (
    <Paper withBorder p="md" maw={820}>
      <form onSubmit={submit}>
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput
              label={t('name')}
              description={t('name_help')}
              placeholder="web-1"
              required
              autoFocus
              value={fields.name}
              onChange={set('name')}
              error={said.name}
            />
            <TextInput
              label={t('address')}
              description={t('address_help')}
              placeholder="203.0.113.10"
              required
              value={fields.address}
              onChange={set('address')}
              error={said.address}
            />
            <TextInput
              label={t('user')}
              description={t('user_help')}
              placeholder="root"
              value={fields.user}
              onChange={set('user')}
              error={said['ssh.user']}
            />
            <TextInput
              label={t('port')}
              description={t('port_help')}
              inputMode="numeric"
              pattern="[0-9]{1,5}"
              required
              value={fields.port}
              onChange={set('port')}
              error={said['ssh.port']}
            />
          </SimpleGrid>
          <LoginFields fields={fields} set={set} onLogin={(login) => setFields((before) => ({ ...before, login }))} />
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <Textarea
              label={t('labels')}
              description={t('labels_help')}
              placeholder={'env=prod\nrole=web'}
              autosize
              minRows={2}
              value={fields.labels}
              onChange={set('labels')}
              error={said.labels}
            />
            <TextInput
              label={t('fingerprint')}
              description={t('fingerprint_help')}
              placeholder="SHA256:…"
              value={fields.fingerprint}
              onChange={set('fingerprint')}
              error={said.host_key_fingerprint}
            />
          </SimpleGrid>
          <ErrorNote error={error} />
          <Group justify="flex-end">
            <Button type="submit" loading={busy}>
              {t('add')}
            </Button>
          </Group>
        </Stack>
      </form>
    </Paper>
  );
}

interface LoginProps {
  fields: ServerFields;
  set: (name: keyof ServerFields) => (event: { currentTarget: { value: string } }) => void;
  onLogin: (login: Login) => void;
}

function LoginFields({ fields, set, onLogin }: LoginProps) {
  const { t } = useTranslation('add_server');
  const label = useId();
  const everywhere = useMay('admin', true);
  const shared = useQuery({
    queryKey: ['credentials'],
    enabled: everywhere,
    queryFn: ({ signal }) => request<PageOf<Credential>>('GET', '/credentials', { query: { page_size: 1000 }, signal }),
  });
  const names = shared.data?.items.map((one) => one.name) ?? [];
  const kinds: Login[] = names.length > 0 ? ['key', 'password', 'shared'] : ['key', 'password'];
  return (
    <Stack gap="sm" role="group" aria-labelledby={label}>
      <Text size="sm" fw={500} id={label}>
        {t('login')}
      </Text>
      <SegmentedControl
        w="fit-content"
        value={fields.login}
        onChange={(value) => onLogin(value as Login)}
        data={kinds.map((kind) => ({ value: kind, label: t(`login_kind.${kind}`) }))}
      />
      {fields.login === 'key' && (
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <Textarea
            label={t('key')}
            description={t('key_help')}
            placeholder="-----BEGIN OPENSSH PRIVATE KEY-----"
            required
            rows={4}
            spellCheck={false}
            autoComplete="off"
            value={fields.key}
            onChange={set('key')}
          />
          <PasswordInput label={t('passphrase')} description={t('optional')} autoComplete="off" value={fields.passphrase} onChange={set('passphrase')} />
        </SimpleGrid>
      )}
      {fields.login === 'password' && (
        <PasswordInput label={t('password')} required autoComplete="off" maw={400} value={fields.password} onChange={set('password')} />
      )}
      {fields.login === 'shared' && (
        <NativeSelect
          label={t('shared')}
          maw={400}
          required
          value={fields.shared}
          onChange={set('shared')}
          data={[{ value: '', label: t('choose') }, ...names]}
        />
      )}
      {fields.login !== 'shared' && fields.user !== '' && fields.user !== 'root' && (
        <PasswordInput
          label={t('sudo_password')}
          description={t('sudo_help')}
          autoComplete="off"
          maw={400}
          value={fields.sudoPassword}
          onChange={set('sudoPassword')}
        />
      )}
    </Stack>
  );
}
