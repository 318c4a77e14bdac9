import { Button, Group, SegmentedControl, Stack, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Job, JobTarget } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { count } from '@/ui/format';
import { StateBadge } from '@/ui/StateBadge';
import { Duration } from '@/ui/Time';
import { StateChips } from './counts';
import { Groups } from './Groups';
import { HostGrid } from './HostGrid';
import { type Targets, targetStanding } from './targets';

type Look = 'grid' | 'list' | 'groups';
const LOOKS: readonly Look[] = ['grid', 'list', 'groups'];

interface TargetsPaneProps {
  job: Job;
  targets: Targets;
  selected: number;
  onSelect: (number: number) => void;
}

/** The hosts of a job: as a grid, as a list, or those with the same output together. */
export function TargetsPane({ job, targets, selected, onSelect }: TargetsPaneProps) {
  const { t, i18n } = useTranslation('work');
  const [look, setLook] = useState<Look>('grid');
  const [statuses, setStatuses] = useState<ReadonlySet<string>>(new Set());
  const [text, setText] = useState('');
  const [group, setGroup] = useState('');
  const numbers = targets.select({ statuses, text, group });
  const isFiltered = statuses.size > 0 || text !== '' || group !== '';
  const clear = () => {
    setStatuses(new Set());
    setText('');
    setGroup('');
  };
  return (
    <Stack gap="xs">
      <StateChips counts={job.counts} chosen={statuses} onChoose={setStatuses} />
      <Group gap="xs">
        <SegmentedControl
          size="xs"
          value={look}
          onChange={(value) => setLook(value as Look)}
          data={LOOKS.map((value) => ({ value, label: t(`look.${value}`) }))}
          aria-label={t('look.label')}
        />
        <TextInput
          size="xs"
          placeholder={t('job.find')}
          aria-label={t('job.find')}
          value={text}
          onChange={(event) => setText(event.currentTarget.value)}
          data-filter
        />
        {isFiltered && (
          <Button size="compact-xs" variant="default" onClick={clear}>
            {t('job.clear', { shown: count(numbers.length, i18n.language), total: count(targets.size, i18n.language) })}
          </Button>
        )}
      </Group>
      {numbers.length === 0 && look !== 'groups' && <Text c="dimmed">{t('job.no_match')}</Text>}
      {look === 'grid' && numbers.length > 0 && (
        <HostGrid targets={targets} numbers={numbers} selected={selected} onSelect={onSelect} />
      )}
      {look === 'list' && numbers.length > 0 && (
        <TargetList targets={targets} numbers={numbers} onSelect={onSelect} />
      )}
      {look === 'groups' && (
        <Groups
          targets={targets}
          chosen={group}
          onChoose={(key, number) => {
            setGroup(key === group ? '' : key);
            onSelect(number);
          }}
        />
      )}
    </Stack>
  );
}

interface TargetListProps {
  targets: Targets;
  numbers: readonly number[];
  onSelect: (number: number) => void;
}

function TargetList({ targets, numbers, onSelect }: TargetListProps) {
  const { t } = useTranslation('work');
  const rows = numbers.map((number) => targets.get(number)).filter((target) => target !== undefined);
  const columns: Column<JobTarget>[] = [
    {
      key: 'name',
      header: t('column.server'),
      width: 'minmax(6rem, 1fr)',
      sort: (row) => row.server_name,
      render: (row) => (
        <UnstyledButton fz="sm" c="var(--mantine-color-anchor)" onClick={() => onSelect(row.number)}>
          {row.server_name}
        </UnstyledButton>
      ),
    },
    {
      key: 'status',
      header: t('column.state'),
      width: '7.5rem',
      sort: (row) => row.status,
      render: (row) => <StateBadge {...targetStanding(row)} />,
    },
    { key: 'exit', header: t('column.exit'), width: '2.75rem', align: 'right', sort: (row) => row.exit_code ?? -1, render: (row) => row.exit_code ?? '' },
    {
      key: 'took',
      header: t('column.took'),
      width: '4.5rem',
      align: 'right',
      wide: true,
      render: (row) => (row.started_at ? <Duration from={row.started_at} to={row.ended_at} /> : ''),
    },
  ];
  return (
    <DataTable
      label={t('job.targets')}
      rows={rows}
      columns={columns}
      rowKey={(row) => String(row.number)}
      rowHeight={34}
      height={`min(${(rows.length + 1) * 34 + 4}px, 44dvh)`}
    />
  );
}

