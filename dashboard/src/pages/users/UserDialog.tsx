import { Button, Group, Modal, PasswordInput, SegmentedControl, Stack, Switch, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { Grant, User } from '@/api/types';
import { Confirm } from '@/ui/Confirm';
import { ErrorNote } from '@/ui/ErrorNote';
import { FormButtons } from '@/ui/FormButtons';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';
import { GrantsInput } from './GrantsInput';

/** A new user, or one that is changed: refused when somebody else changed it meanwhile. */
export function UserDialog({ user, onClose }: { user: User | null; onClose: () => void }) {
  const { t } = useTranslation(['users', 'common']);
  const queries = useQueryClient();
  const [name, setName] = useState('');
  const [display, setDisplay] = useState(user?.display_name ?? '');
  const [kind, setKind] = useState<'person' | 'program'>(user?.kind ?? 'person');
  const [password, setPassword] = useState('');
  const [disabled, setDisabled] = useState(user?.disabled ?? false);
  const [grants, setGrants] = useState<Grant[]>(user?.grants ?? [{ role: 'viewer', selector: 'all' }]);
  const { busy, error, said, attempt } = useAttempt();
  const keyOf = useIdempotencyKey();
  const [removing, setRemoving] = useState(false);
  // Also after a refusal: whoever opens the dialog again is to see, and change, the user of now.
  const thenReadAnew = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } finally {
      await queries.invalidateQueries({ queryKey: ['users'] });
    }
  };
  const save = async () => {
    const secret = password === '' ? {} : { password };
    await thenReadAnew(async () => {
      if (user === null) {
        const body = { name: name.trim(), display_name: display, kind, grants, ...secret };
        await request('POST', '/users', { body, headers: keyOf(body) });
      } else
        await request('PATCH', `/users/${user.id}`, {
          body: { display_name: display, grants, disabled, ...secret },
          headers: { 'If-Match': `"${user.etag}"` },
        });
    });
    onClose();
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(save);
  };
  return (
    <Modal opened onClose={onClose} title={user === null ? t('add') : t('change', { name: user.name })} size="lg">
      <form onSubmit={submit}>
        <Stack>
          {user === null && (
            <>
              <SegmentedControl
                value={kind}
                onChange={(value) => setKind(value as typeof kind)}
                data={(['person', 'program'] as const).map((one) => ({ value: one, label: t(`kind.${one}`) }))}
              />
              <TextInput label={t('column.name')} required data-autofocus autoComplete="off" value={name} onChange={(event) => setName(event.currentTarget.value)} error={said.name} />
            </>
          )}
          <TextInput label={t('column.display_name')} value={display} onChange={(event) => setDisplay(event.currentTarget.value)} error={said.display_name} />
          {kind === 'person' && (
            <PasswordInput
              label={user === null ? t('password') : t('new_password')}
              description={user === null ? t('password_help') : t('new_password_help')}
              required={user === null}
              autoComplete="new-password"
              value={password}
              onChange={(event) => setPassword(event.currentTarget.value)}
              error={said.password}
              visibilityToggleButtonProps={{ 'aria-label': t('show') }}
            />
          )}
          <GrantsInput grants={grants} onChange={setGrants} />
          {user !== null && (
            <Switch label={t('disabled')} description={t('disabled_help')} checked={disabled} onChange={(event) => setDisabled(event.currentTarget.checked)} />
          )}
          <ErrorNote error={error} />
          <Group justify="space-between">
            {user !== null ? (
              <Button variant="subtle" color="red" onClick={() => setRemoving(true)}>
                {t('common:remove')}
              </Button>
            ) : (
              <span />
            )}
            <FormButtons busy={busy} onClose={onClose} />
          </Group>
        </Stack>
      </form>
      {user !== null && (
        <Confirm
          opened={removing}
          onClose={() => setRemoving(false)}
          title={t('remove', { name: user.name })}
          action={t('common:remove')}
          danger
          onConfirm={async () => {
            await thenReadAnew(() => request('DELETE', `/users/${user.id}`, { headers: { 'If-Match': `"${user.etag}"` } }));
            onClose();
          }}
        >
          {t('remove_text')}
        </Confirm>
      )}
    </Modal>
  );
}
