import { Text, TextInput, type TextInputProps } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { ApiError, request } from '@/api/client';
import type { JobPreview, ServerCounts } from '@/api/types';
import { useMay } from '@/api/session';
import { count } from './format';

export interface Matches {
  /** Null while it is not known. */
  servers: number | null;
  sha256: string;
  error: ApiError | null;
  isPending: boolean;
}

interface Counted {
  servers: number;
  sha256: string;
}

const WAIT_MS = 250;

/** How many servers a selector means now. An empty one means none, as everywhere in MyX. */
export function useMatches(selector: string): Matches {
  const operator = useMay('operator');
  const [settled] = useDebouncedValue(selector.trim(), WAIT_MS);
  const query = useQuery<Counted>({
    queryKey: ['servers', 'matches', settled, operator],
    enabled: settled !== '',
    retry: false,
    staleTime: 5000,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) => (operator ? preview(settled, signal) : counted(settled, signal)),
  });
  const failed = query.error instanceof ApiError ? query.error : null;
  const nothing = failed?.reason === 'SELECTOR_MATCHES_NOTHING';
  return {
    servers: nothing ? 0 : failed ? null : (query.data?.servers ?? null),
    sha256: failed ? '' : (query.data?.sha256 ?? ''),
    error: nothing ? null : failed,
    isPending: settled !== '' && (query.isFetching || settled !== selector.trim()),
  };
}

async function preview(selector: string, signal: AbortSignal): Promise<Counted> {
  const answer = await request<JobPreview>('POST', '/jobs/preview', { body: { selector }, signal });
  return { servers: answer.targets.length, sha256: answer.targets_sha256 };
}

async function counted(selector: string, signal: AbortSignal): Promise<Counted> {
  const counts = await request<ServerCounts>('GET', '/server-counts', { query: { selector }, signal });
  return { servers: counts.total, sha256: '' };
}

interface SelectorInputProps extends Omit<TextInputProps, 'value' | 'onChange' | 'error'> {
  value: string;
  onChange: (selector: string) => void;
}

/** A selector with the live number of servers that it matches, and where it is wrong. */
export function SelectorInput({ value, onChange, ...rest }: SelectorInputProps) {
  const { t, i18n } = useTranslation('common');
  const matches = useMatches(value);
  const number = matches.servers === null ? '' : count(matches.servers, i18n.language);
  return (
    <TextInput
      label={t('selector.label')}
      placeholder={t('selector.placeholder')}
      {...rest}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      spellCheck={false}
      autoCapitalize="off"
      autoComplete="off"
      data-selector-input
      styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
      error={matches.error?.problem.detail}
      rightSectionWidth="auto"
      rightSection={
        value.trim() !== '' && !matches.error ? (
          <Text size="xs" c="dimmed" px="sm" role="status" data-testid="matches">
            {matches.servers === null ? '…' : t('selector.matches', { count: matches.servers, number })}
          </Text>
        ) : undefined
      }
    />
  );
}
