import { Autocomplete, List, Select, SimpleGrid, Stack, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { ApiError, request } from '@/api/client';
import { relativeTime } from '@/ui/format';
import { useNow } from '@/ui/useNow';
import { Folded } from '../work/WhatFields';

export interface When {
  cron: string;
  timeZone: string;
  missed: 'skip' | 'run_once';
  overlap: 'skip' | 'wait' | 'allow';
}

interface TimeFieldsProps {
  when: When;
  onChange: (when: When) => void;
}

const PRESETS = ['0 * * * *', '30 2 * * *', '0 9 * * MON-FRI', '0 3 * * SUN', '0 4 1 * *'];
const MISSED = ['skip', 'run_once'] as const;
const OVERLAP = ['skip', 'wait', 'allow'] as const;

/** When something is started, with the next times as the executor reckons them. */
export function TimeFields({ when, onChange }: TimeFieldsProps) {
  const { t } = useTranslation('work');
  const [settled] = useDebouncedValue(when, 250);
  const preview = useQuery({
    queryKey: ['schedules', 'preview', settled.cron.trim(), settled.timeZone],
    enabled: settled.cron.trim() !== '',
    retry: false,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      request<{ times: string[] }>('POST', '/schedules/preview', {
        body: { cron: settled.cron.trim(), time_zone: settled.timeZone, count: 5 },
        signal,
      }),
  });
  const fields = preview.error instanceof ApiError ? preview.error.problem.fields : {};
  const said = preview.error instanceof ApiError ? preview.error.problem.detail : undefined;
  return (
    <Stack gap="sm">
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Autocomplete
          label={t('schedule.cron')}
          description={t('schedule.cron_hint')}
          data={PRESETS}
          filter={({ options }) => options}
          value={when.cron}
          onChange={(cron) => onChange({ ...when, cron })}
          error={fields.time_zone === undefined ? said : undefined}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
          required
        />
        <ZoneInput
          value={when.timeZone}
          onChange={(timeZone) => onChange({ ...when, timeZone })}
          error={fields.time_zone === undefined ? undefined : said}
        />
      </SimpleGrid>
      {preview.data && !preview.error && <NextTimes times={preview.data.times} zone={settled.timeZone} />}
      <Folded title={t('schedule.policies')} opened={when.missed !== 'skip' || when.overlap !== 'skip'}>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <Select
            label={t('schedule.missed')}
            data={MISSED.map((value) => ({ value, label: t(`missed.${value}`) }))}
            value={when.missed}
            onChange={(value) => onChange({ ...when, missed: (value ?? 'skip') as When['missed'] })}
            allowDeselect={false}
          />
          <Select
            label={t('schedule.overlap')}
            data={OVERLAP.map((value) => ({ value, label: t(`overlap.${value}`) }))}
            value={when.overlap}
            onChange={(value) => onChange({ ...when, overlap: (value ?? 'skip') as When['overlap'] })}
            allowDeselect={false}
          />
        </SimpleGrid>
      </Folded>
    </Stack>
  );
}

/** The browser's own zone, which a new schedule has at first. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
}

function ZoneInput({ value, onChange, error }: { value: string; onChange: (zone: string) => void; error?: string }) {
  const { t } = useTranslation('work');
  const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')];
  return (
    <Autocomplete
      label={t('schedule.zone')}
      description={t('schedule.zone_hint')}
      data={[...new Set(zones)]}
      limit={50}
      value={value}
      onChange={onChange}
      error={error}
    />
  );
}

/** Moments, in the zone of the schedule. */
export function NextTimes({ times, zone }: { times: readonly string[]; zone: string }) {
  const { t, i18n } = useTranslation('work');
  const now = useNow();
  if (times.length === 0) return null;
  return (
    <div data-testid="next-times">
      <Text size="sm" fw={600}>
        {t('schedule.next', { zone: zone || 'UTC' })}
      </Text>
      <List size="sm" listStyleType="none" withPadding={false}>
        {times.map((time) => (
          <List.Item key={time}>
            {inZone(time, zone, i18n.language)}{' '}
            <Text span size="xs" c="dimmed">
              {relativeTime(Date.parse(time), now, i18n.language)}
            </Text>
          </List.Item>
        ))}
      </List>
    </div>
  );
}

function inZone(time: string, zone: string, language: string): string {
  const format = (timeZone: string) =>
    new Intl.DateTimeFormat(language, { timeZone, dateStyle: 'full', timeStyle: 'short' }).format(Date.parse(time));
  try {
    return format(zone || 'UTC');
  } catch {
    return format('UTC');
  }
}
