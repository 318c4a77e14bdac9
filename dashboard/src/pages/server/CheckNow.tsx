import { Button, Popover, Text } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { CheckResult } from '@/api/types';
import { useCauses } from '@/ui/causes';
import { ErrorNote } from '@/ui/ErrorNote';
import { StateBadge } from '@/ui/StateBadge';

/** Calls the agent now, and shows what came of it. */
export function CheckNow({ server }: { server: string }) {
  const { t } = useTranslation('server');
  const causeOf = useCauses();
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  const check = useMutation({
    mutationFn: () => request<CheckResult>('POST', `/servers/${encodeURIComponent(server)}/check`),
    onSettled: () => {
      setOpened(true);
      void queries.invalidateQueries({ queryKey: ['servers'] });
    },
  });
  return (
    <Popover opened={opened} onChange={setOpened} width={320} withArrow shadow="md">
      <Popover.Target>
        <Button size="compact-sm" variant="default" loading={check.isPending} onClick={() => check.mutate()}>
          {t('action.check')}
        </Button>
      </Popover.Target>
      <Popover.Dropdown role="status">
        <ErrorNote error={check.error} />
        {check.data && (
          <>
            <StateBadge state={check.data.status} plain />
            {check.data.cause && (
              <Text size="sm" mt={4}>
                {causeOf(check.data.cause)}
              </Text>
            )}
            {check.data.message && (
              <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
                {check.data.message}
              </Text>
            )}
          </>
        )}
      </Popover.Dropdown>
    </Popover>
  );
}
