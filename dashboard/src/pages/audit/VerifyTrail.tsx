import { Alert, Button, Modal, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { Verification } from '@/api/types';
import { CopyText } from '@/ui/CopyText';
import { ErrorNote } from '@/ui/ErrorNote';
import { headOf } from './entry';

/** Checks the chain of hashes from the first entry that is kept to the last one. */
export function VerifyTrail() {
  const { t } = useTranslation('audit');
  const [opened, setOpened] = useState(false);
  const verify = useMutation({
    mutationFn: () => request<Verification>('POST', '/audit/verify', { body: {} }),
    onSettled: () => setOpened(true),
  });
  return (
    <>
      <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
        {t('verify.open')}
      </Button>
      <Modal opened={opened} onClose={() => setOpened(false)} title={t('verify.title')}>
        <ErrorNote error={verify.error} />
        {verify.data && (
          <Stack>
            <Alert color={verify.data.ok ? 'green' : 'red'}>
              {verify.data.ok
                ? t('verify.good', { count: verify.data.count })
                : t('verify.bad', { seq: verify.data.bad_seq, problem: verify.data.problem })}
            </Alert>
            <Text size="sm">{t('verify.keep')}</Text>
            <CopyText text={headOf(verify.data)} />
          </Stack>
        )}
      </Modal>
    </>
  );
}
