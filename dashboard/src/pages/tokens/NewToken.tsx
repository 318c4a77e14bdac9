import { Modal, NativeSelect, Stack, TextInput } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { CreatedToken, Role } from '@/api/types';
import { ErrorNote } from '@/ui/ErrorNote';
import { FormButtons } from '@/ui/FormButtons';
import { duration } from '@/ui/format';
import { SelectorInput } from '@/ui/SelectorInput';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';

const DAY_S = 86_400;
const LIVES_S = [DAY_S, 7 * DAY_S, 30 * DAY_S, 90 * DAY_S, 365 * DAY_S];
const ROLES: Role[] = ['viewer', 'operator', 'admin'];

/** A token: what for, how much, how long. Its text is given to `onMade` and kept nowhere else. */
export function NewToken({ user, onClose, onMade }: { user: string; onClose: () => void; onMade: (token: CreatedToken) => void }) {
  const { t, i18n } = useTranslation(['tokens', 'shell', 'common', 'users']);
  const keyOf = useIdempotencyKey();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [selector, setSelector] = useState('all');
  const [life, setLife] = useState(90 * DAY_S);
  const { busy, error, said, attempt } = useAttempt();
  const make = async () => {
    const body = { name: name.trim(), user, role, selector: selector.trim(), expires_in_s: life };
    onMade(await request<CreatedToken>('POST', '/tokens', { body, headers: keyOf(body) }));
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(make);
  };
  return (
    <Modal opened onClose={onClose} title={t('add')}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput label={t('column.name')} description={t('name_help')} required data-autofocus value={name} onChange={(event) => setName(event.currentTarget.value)} error={said.name} />
          <NativeSelect
            label={t('users:role')}
            description={t('role_help')}
            value={role}
            onChange={(event) => setRole(event.currentTarget.value as Role)}
            data={ROLES.map((one) => ({ value: one, label: t(`shell:role.${one}`) }))}
          />
          <SelectorInput value={selector} onChange={setSelector} required />
          <NativeSelect
            label={t('life')}
            value={String(life)}
            onChange={(event) => setLife(Number(event.currentTarget.value))}
            data={LIVES_S.map((one) => ({ value: String(one), label: duration(one, i18n.language) }))}
          />
          <ErrorNote error={error} />
          <FormButtons action={t('make')} busy={busy} onClose={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}
