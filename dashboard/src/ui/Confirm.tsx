import { Button, Group, Modal, Stack, Text, TextInput } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ErrorNote } from './ErrorNote';
import { useAttempt } from './useAttempt';

interface ConfirmProps {
  opened: boolean;
  onClose: () => void;
  title: string;
  children: ReactNode;
  /** The verb on the button. */
  action: string;
  onConfirm: () => Promise<unknown>;
  danger?: boolean;
  /** Has to be typed first: for what cannot be taken back. */
  typed?: string;
}

/** Asks before something that cannot be taken back, and shows what went wrong where it was asked. */
export function Confirm({ opened, onClose, title, children, action, onConfirm, danger, typed }: ConfirmProps) {
  const { t } = useTranslation('common');
  const [text, setText] = useState('');
  const { busy, error, attempt, forget } = useAttempt();
  const close = () => {
    setText('');
    forget();
    onClose();
  };
  const confirm = () =>
    attempt(async () => {
      await onConfirm();
      close();
    });
  return (
    <Modal opened={opened} onClose={close} title={title} centered>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <Stack>
          <Text size="sm" component="div">
            {children}
          </Text>
          {typed !== undefined && (
            <TextInput
              label={t('confirm.type', { text: typed })}
              value={text}
              onChange={(event) => setText(event.currentTarget.value)}
              data-autofocus
              autoComplete="off"
            />
          )}
          <ErrorNote error={error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>
              {t('back')}
            </Button>
            <Button
              type="submit"
              color={danger ? 'red' : undefined}
              loading={busy}
              disabled={typed !== undefined && text !== typed}
            >
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
