import { Anchor, Button, Group, NativeSelect, Skeleton, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { addressOf, type PageOf, request } from '@/api/client';
import type { AuditEntry } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { Time } from '@/ui/Time';
import { useUrlState } from '@/ui/useUrlState';
import classes from './audit.module.css';
import { onWhat } from './entry';
import { EntryDialog } from './EntryDialog';
import { VerifyTrail } from './VerifyTrail';

const AT_ONCE = 200;
const RESULTS = ['ok', 'refused', 'failed', 'unknown'];

/** Who did what to which servers, with which result, from where. */
export function AuditPage() {
  const { t } = useTranslation('audit');
  const [principal, setPrincipal] = useUrlState('principal');
  const [operation, setOperation] = useUrlState('operation');
  const [target, setTarget] = useUrlState('target');
  const [result, setResult] = useUrlState('result');
  const [filter] = useDebouncedValue({ principal: principal.trim(), operation: operation.trim(), target: target.trim(), result }, 300);
  const [opened, setOpened] = useState<AuditEntry | null>(null);
  const trail = useInfiniteQuery({
    queryKey: ['audit', filter],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      request<PageOf<AuditEntry>>('GET', '/audit', { query: { ...filter, page_size: AT_ONCE, page_token: pageParam }, signal }),
    getNextPageParam: (page) => page.next_page_token ?? undefined,
  });
  const entries = trail.data?.pages.flatMap((page) => page.items) ?? [];
  const columns: Column<AuditEntry>[] = [
    { key: 'at', header: t('column.at'), width: 'minmax(7rem, 1fr)', render: (one) => <Time at={one.at} /> },
    { key: 'who', header: t('column.who'), width: 'minmax(7rem, 1.2fr)', render: (one) => one.principal },
    {
      key: 'operation',
      header: t('column.operation'),
      width: 'minmax(9rem, 1.4fr)',
      render: (one) => (
        <Anchor component="button" size="sm" display="block" onClick={() => setOpened(one)}>
          <span className={classes.lines} title={one.operation}>
            {one.operation}
          </span>
        </Anchor>
      ),
    },
    {
      key: 'on',
      header: t('column.on'),
      width: 'minmax(8rem, 2fr)',
      wide: true,
      render: (one) => (
        <span className={classes.lines} title={[...one.targets, one.resource].filter(Boolean).join(', ')}>
          {onWhat(one)}
        </span>
      ),
    },
    { key: 'from', header: t('column.from'), width: '8rem', wide: true, render: (one) => one.address },
    {
      key: 'result',
      header: t('column.result'),
      width: 'minmax(9rem, 1.4fr)',
      render: (one) => {
        const said = t(`result.${one.result}`, { defaultValue: one.result }) + (one.reason ? ` · ${one.reason}` : '');
        return (
          <span className={`${classes.result} ${classes.lines}`} data-result={one.result} title={said}>
            {said}
          </span>
        );
      },
    },
  ];
  return (
    <Page
      title={t('title')}
      description={t('description')}
      actions={
        <>
          <VerifyTrail />
          <Button component="a" variant="default" href={addressOf('/audit/export')} download>
            {t('export')}
          </Button>
        </>
      }
    >
      <Group gap="sm" align="flex-end">
        <TextInput label={t('column.who')} placeholder="user:alice" value={principal} onChange={(event) => setPrincipal(event.currentTarget.value)} data-filter />
        <TextInput label={t('column.operation')} placeholder="commands.run" value={operation} onChange={(event) => setOperation(event.currentTarget.value)} />
        <TextInput label={t('column.on')} placeholder="web-1" value={target} onChange={(event) => setTarget(event.currentTarget.value)} />
        <NativeSelect
          label={t('column.result')}
          value={result}
          onChange={(event) => setResult(event.currentTarget.value)}
          data={[{ value: '', label: t('any') }, ...RESULTS.map((one) => ({ value: one, label: t(`result.${one}`) }))]}
        />
      </Group>
      <ErrorNote error={trail.error} onRetry={() => void trail.refetch()} />
      {trail.isPending && <Skeleton h={300} />}
      {trail.data && (
        <DataTable
          label={t('title')}
          rows={entries}
          columns={columns}
          rowHeight={44}
          rowKey={(one) => String(one.seq)}
          onEnd={() => {
            if (trail.hasNextPage && !trail.isFetchingNextPage) void trail.fetchNextPage();
          }}
          empty={<EmptyState title={t('empty.title')} text={t('empty.text')} />}
        />
      )}
      {opened !== null && <EntryDialog entry={opened} onClose={() => setOpened(null)} />}
    </Page>
  );
}
