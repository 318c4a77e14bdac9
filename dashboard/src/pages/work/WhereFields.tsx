import { MultiSelect, SegmentedControl, Stack, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { type PageOf, request } from '@/api/client';
import type { Server } from '@/api/types';
import { useTargets } from '@/ui/matches';
import { SelectorInput } from '@/ui/SelectorInput';
import type { Bound } from './fields';

const NAMES_SHOWN = 30;
const CHOICES = 200;

/** On which servers, with those that are meant now. */
export function WhereFields(bound: Bound) {
  const { t } = useTranslation('work');
  const { form, wrong, set } = bound;
  return (
    <Stack gap="sm">
      <SegmentedControl
        value={form.where}
        onChange={(value) => set({ where: value === 'servers' ? 'servers' : 'selector' })}
        data={[
          { value: 'selector', label: t('where.selector') },
          { value: 'servers', label: t('where.servers') },
        ]}
        aria-label={t('where.label')}
      />
      {form.where === 'selector' ? (
        <>
          <SelectorInput toRun value={form.selector} onChange={(selector) => set({ selector })} description={t('where.selector_hint')} />
          {wrong.selector && (
            <Text size="xs" c="var(--mantine-color-error)">
              {t(wrong.selector)}
            </Text>
          )}
          <Matched selector={form.selector} />
        </>
      ) : (
        <Named {...bound} />
      )}
    </Stack>
  );
}

/** Names of the servers that a selector means now. */
function Matched({ selector }: { selector: string }) {
  const { t } = useTranslation('work');
  const targets = useTargets(selector);
  if (targets.length === 0) return null;
  return (
    <Text size="sm" c="dimmed" data-testid="matched" style={{ overflowWrap: 'anywhere' }}>
      {targets
        .slice(0, NAMES_SHOWN)
        .map((target) => target.server_name)
        .join(', ')}
      {targets.length > NAMES_SHOWN && ` ${t('where.and_more', { count: targets.length - NAMES_SHOWN })}`}
    </Text>
  );
}

function Named({ form, wrong, set }: Bound) {
  const { t } = useTranslation('work');
  const [typed, setTyped] = useState('');
  const [settled] = useDebouncedValue(typed.trim(), 200);
  // Names have no other characters, and a quote would be a wrong selector.
  const plain = /^[\w.-]+$/.test(settled);
  const found = useQuery({
    queryKey: ['servers', 'names', settled],
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      request<PageOf<Server>>('GET', '/servers', {
        query: { page_size: CHOICES, selector: plain ? `name ~ '*${settled.toLowerCase()}*'` : undefined },
        signal,
      }),
  });
  const names = [...new Set([...form.servers, ...(found.data?.items ?? []).map((server) => server.name)])];
  return (
    <MultiSelect
      label={t('where.servers')}
      description={t('where.servers_hint')}
      data={names}
      value={form.servers}
      onChange={(servers) => set({ servers })}
      searchValue={typed}
      onSearchChange={setTyped}
      error={wrong.servers && t(wrong.servers)}
      nothingFoundMessage={t('where.none')}
      searchable
      limit={CHOICES}
      hidePickedOptions
    />
  );
}
