import { Modal, PasswordInput, SegmentedControl, Stack, Textarea, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { ErrorNote } from '@/ui/ErrorNote';
import { FormButtons } from '@/ui/FormButtons';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';

/** A login to be shared. What is typed here leaves with the request and stays nowhere in the page. */
export function NewCredential({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation(['credentials', 'add_server', 'common']);
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const [user, setUser] = useState('');
  const [kind, setKind] = useState<'key' | 'password'>('key');
  const [secret, setSecret] = useState('');
  const [passphrase, setPassphrase] = useState('');
  const [sudo, setSudo] = useState('');
  const { busy, error, said, attempt } = useAttempt();
  const keyOf = useIdempotencyKey();
  const add = async () => {
    const proof =
      kind === 'password'
        ? { password: secret }
        : { private_key: `${secret.trim()}\n`, ...(passphrase === '' ? {} : { passphrase }) };
    const body = { name: name.trim(), secret: { ...proof, user: user.trim(), ...(sudo === '' ? {} : { sudo_password: sudo }) } };
    await request('POST', '/credentials', { body, headers: keyOf(body) });
    await queries.invalidateQueries({ queryKey: ['credentials'] });
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(add);
  };
  return (
    <Modal opened onClose={onClose} title={t('add')}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput label={t('column.name')} required data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} error={said.name} />
          <TextInput label={t('column.user')} placeholder="root" value={user} onChange={(event) => setUser(event.currentTarget.value)} />
          <SegmentedControl
            value={kind}
            onChange={(value) => {
              setKind(value as typeof kind);
              setSecret('');
            }}
            data={(['key', 'password'] as const).map((one) => ({ value: one, label: t(`add_server:login_kind.${one}`) }))}
          />
          {kind === 'key' ? (
            <>
              <Textarea label={t('add_server:key')} description={t('add_server:key_help')} required rows={4} autoComplete="off" spellCheck={false} value={secret} onChange={(event) => setSecret(event.currentTarget.value)} error={said['secret.private_key']} />
              <PasswordInput label={t('add_server:passphrase')} description={t('add_server:optional')} autoComplete="off" value={passphrase} onChange={(event) => setPassphrase(event.currentTarget.value)} />
            </>
          ) : (
            <PasswordInput label={t('add_server:password')} required autoComplete="off" value={secret} onChange={(event) => setSecret(event.currentTarget.value)} error={said['secret.password']} />
          )}
          <PasswordInput label={t('add_server:sudo_password')} description={t('add_server:sudo_help')} autoComplete="off" value={sudo} onChange={(event) => setSudo(event.currentTarget.value)} />
          <ErrorNote error={error} />
          <FormButtons busy={busy} onClose={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}
