import { Button, NativeSelect, Stack, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { Confirm } from '@/ui/Confirm';
import { duration } from '@/ui/format';

const CHOICES_S = [900, 3600, 14_400, 86_400, 604_800];

/** Pause the checks of servers: for how long, and why. */
export function PauseMany({ servers, variant = 'default' }: { servers: string[]; variant?: string }) {
  const { t, i18n } = useTranslation('servers');
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  const [seconds, setSeconds] = useState(3600);
  const [reason, setReason] = useState('');
  const pause = async () => {
    await request('POST', '/servers/pause', { body: { servers, for_s: seconds, reason } });
    await queries.invalidateQueries({ queryKey: ['servers'] });
  };
  return (
    <>
      <Button size="compact-sm" variant={variant} onClick={() => setOpened(true)}>
        {t('pause.open')}
      </Button>
      <Confirm
        opened={opened}
        onClose={() => setOpened(false)}
        title={t('pause.title', { count: servers.length })}
        action={t('pause.action')}
        onConfirm={pause}
      >
        <Stack gap="sm">
          {t('pause.text')}
          <NativeSelect
            label={t('pause.for')}
            value={String(seconds)}
            onChange={(event) => setSeconds(Number(event.currentTarget.value))}
            data={CHOICES_S.map((one) => ({ value: String(one), label: duration(one, i18n.language) }))}
          />
          <TextInput
            label={t('pause.reason')}
            value={reason}
            maxLength={500}
            onChange={(event) => setReason(event.currentTarget.value)}
          />
        </Stack>
      </Confirm>
    </>
  );
}
