import { Text, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { type Column, DataTable } from '@/ui/DataTable';
import { duration } from '@/ui/format';
import { StateBadge } from '@/ui/StateBadge';
import { lastSeq, type PlayEvent, rowsOf, type TaskRow } from './play';

interface Answer {
  items: PlayEvent[];
  is_final: boolean;
}

const ASK_MS = 1500;

/** The tasks of a play with their results, as they come. */
export function Tasks({ id }: { id: string }) {
  const { t, i18n } = useTranslation('work');
  const queries = useQueryClient();
  const key = ['deployments', 'events', id];
  const query = useQuery({
    queryKey: key,
    queryFn: async ({ signal }): Promise<Answer> => {
      const before = queries.getQueryData<Answer>(key)?.items ?? [];
      const answer = await request<Answer>('GET', `/deployments/${id}/events`, { query: { after: lastSeq(before) }, signal });
      return { items: [...before, ...answer.items], is_final: answer.is_final };
    },
    refetchInterval: ({ state }) => (state.data?.is_final ? false : ASK_MS),
  });
  const rows = rowsOf(query.data?.items ?? []);
  if (rows.length === 0) return null;
  const columns: Column<TaskRow>[] = [
    {
      key: 'task',
      header: t('tasks.task'),
      width: 'minmax(9rem, 2fr)',
      render: (row) => [row.role, row.task].filter(Boolean).join(' : ') + (row.item && ` (${row.item})`),
    },
    {
      key: 'status',
      header: t('column.state'),
      width: '9rem',
      render: (row) => (
        <>
          <StateBadge state={row.status === 'ok' ? 'unchanged' : row.status} plain />
          {row.isIgnored && ` ${t('tasks.ignored')}`}
        </>
      ),
    },
    {
      key: 'took',
      header: t('column.took'),
      width: '5rem',
      align: 'right',
      wide: true,
      render: (row) => (row.durationS === null ? '' : duration(row.durationS, i18n.language)),
    },
    { key: 'message', header: t('tasks.message'), width: 'minmax(8rem, 3fr)', wide: true, render: (row) => <span title={row.message}>{row.message}</span> },
  ];
  return (
    <section aria-label={t('tasks.title')}>
      <Title order={2} size="h5" mb="xs">
        {t('tasks.title')}{' '}
        <Text span c="dimmed" size="sm">
          {rows.length}
        </Text>
      </Title>
      <DataTable
        label={t('tasks.title')}
        rows={rows}
        columns={columns}
        rowKey={(row) => row.key}
        rowHeight={32}
        height={`min(${(rows.length + 1) * 32 + 4}px, 24rem)`}
      />
    </section>
  );
}
