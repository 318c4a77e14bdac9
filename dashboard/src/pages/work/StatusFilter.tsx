import { MultiSelect } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useUrlState } from '@/ui/useUrlState';

export const COMMAND_STATES = [
  'pending',
  'queued',
  'running',
  'cancelling',
  'success',
  'failed',
  'timeout',
  'cancelled',
  'lost',
  'unknown',
  'skipped',
] as const;

export const JOB_STATES = [
  'pending',
  'running',
  'paused',
  'stopping',
  'cancelling',
  'success',
  'partial',
  'failed',
  'stopped',
  'cancelled',
] as const;

/** States in the address, as a list. */
export function useStatuses(known: readonly string[]): [string[], (statuses: string[]) => void] {
  const [text, setText] = useUrlState('status');
  const statuses = text.split(',').filter((status) => known.includes(status));
  return [statuses, (next) => setText(next.join(','))];
}

interface StatusFilterProps {
  known: readonly string[];
  value: string[];
  onChange: (statuses: string[]) => void;
}

export function StatusFilter({ known, value, onChange }: StatusFilterProps) {
  const { t } = useTranslation('work');
  return (
    <MultiSelect
      label={t('column.state')}
      placeholder={value.length === 0 ? t('filter.any_state') : undefined}
      data={known.map((status) => ({ value: status, label: t(`states:name.${status}`, { defaultValue: status }) }))}
      value={value}
      onChange={onChange}
      clearable
      w={{ base: '100%', sm: 320 }}
    />
  );
}
