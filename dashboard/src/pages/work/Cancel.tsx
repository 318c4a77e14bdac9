import { Button, NumberInput, Stack } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMay } from '@/api/session';
import { Confirm } from '@/ui/Confirm';
import { isFinal } from '@/ui/states';

interface CancelProps<T> {
  noun: 'commands' | 'deployments';
  id: string;
  status: string;
  onChange: (thing: T) => void;
}

/** Asks a command or deployment to end. That it did is another matter: it is `cancelling` until its agent proves it. */
export function Cancel<T>({ noun, id, status, onChange }: CancelProps<T>) {
  const { t } = useTranslation('work');
  const [opened, setOpened] = useState(false);
  const [grace, setGrace] = useState<number | string>(10);
  const may = useMay('operator');
  if (!may || isFinal(status) || status === 'cancelling') return null;
  const body = noun === 'commands' ? { grace_s: grace === '' ? null : Number(grace) } : undefined;
  return (
    <>
      <Button color="red" variant="outline" onClick={() => setOpened(true)}>
        {t('action.cancel')}
      </Button>
      <Confirm
        opened={opened}
        onClose={() => setOpened(false)}
        title={t('cancel.title')}
        action={t('action.cancel')}
        danger
        onConfirm={async () => onChange(await request<T>('POST', `/${noun}/${id}/cancel`, { body }))}
      >
        <Stack gap="xs">
          {t(`cancel.${noun}`)}
          {noun === 'commands' && (
            <NumberInput label={t('cancel.grace')} value={grace} onChange={setGrace} min={0} max={3600} />
          )}
        </Stack>
      </Confirm>
    </>
  );
}
