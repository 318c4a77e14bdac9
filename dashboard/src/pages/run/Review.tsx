import { Alert, Button, Group, Modal, Skeleton, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError, newIdempotencyKey, request } from '@/api/client';
import type { Job, JobPreview, JobTarget } from '@/api/types';
import { type Column, DataTable } from '@/ui/DataTable';
import { ErrorNote } from '@/ui/ErrorNote';
import { useAttempt } from '@/ui/useAttempt';
import { commandLine } from '../work/describe';
import { options, place, toJob, type WorkForm } from '../work/form';
import classes from '../work/work.module.css';

interface ReviewProps {
  form: WorkForm;
  onClose: () => void;
}

/** The list as it is frozen: what is confirmed here runs on exactly these servers, or not at all. */
export function Review({ form, onClose }: ReviewProps) {
  const { t } = useTranslation('work');
  const navigate = useNavigate();
  const [key, setKey] = useState(newIdempotencyKey);
  const { busy, error, attempt, forget } = useAttempt();
  const preview = useQuery({
    queryKey: ['jobs', 'review', key],
    retry: false,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: ({ signal }) =>
      request<JobPreview>('POST', '/jobs/preview', { body: { ...place(form), options: options(form) }, signal }),
  });
  const again = () => {
    forget();
    setKey(newIdempotencyKey());
  };
  const start = (sha256: string) =>
    attempt(async () => {
      const job = await request<Job>('POST', '/jobs', {
        body: toJob(form, sha256),
        headers: { 'Idempotency-Key': key },
      });
      await navigate({ to: '/jobs/$jobId', params: { jobId: job.id } as never });
    });
  const { data } = preview;
  const changed = error instanceof ApiError && error.reason === 'TARGETS_CHANGED';
  return (
    <Modal opened onClose={onClose} title={t('review.title')} size="lg">
      <Stack>
        <Said form={form} />
        <ErrorNote error={preview.error} onRetry={again} />
        {preview.isPending && <Skeleton h={200} />}
        {data && (
          <>
            <Text fw={600} data-testid="review-count">
              {t('review.targets', { count: data.targets.length })}
              {data.batch_count > 1 && ` · ${t('review.batches', { count: data.batch_count })}`}
            </Text>
            <Frozen targets={data.targets} batches={data.batch_count} />
            <Text size="xs" c="dimmed">
              {t('review.frozen')} <span className={classes.hash}>{data.targets_sha256.slice(0, 16)}</span>
            </Text>
          </>
        )}
        {changed ? <Alert color="orange">{t('review.changed')}</Alert> : <ErrorNote error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('review.back')}
          </Button>
          {changed ? (
            <Button onClick={again}>{t('review.look_again')}</Button>
          ) : (
            <Button disabled={!data} loading={busy} onClick={() => data && void start(data.targets_sha256)} data-autofocus>
              {t('review.start', { count: data?.targets.length ?? 0 })}
            </Button>
          )}
        </Group>
      </Stack>
    </Modal>
  );
}

function Said({ form }: { form: WorkForm }) {
  const { work } = toJob(form);
  const line = work.command
    ? commandLine(work.command.command, work.command.args ?? [])
    : [work.deployment?.kind, work.deployment?.playbook].filter(Boolean).join(' ');
  return <pre className={classes.line}>{line}</pre>;
}

function Frozen({ targets, batches }: { targets: readonly JobTarget[]; batches: number }) {
  const { t } = useTranslation('work');
  const columns: Column<JobTarget>[] = [
    { key: 'number', header: t('column.number'), width: '3.5rem', align: 'right', render: (target) => target.number },
    { key: 'name', header: t('column.server'), width: 'minmax(6rem, 1fr)', render: (target) => target.server_name },
  ];
  if (batches > 1) columns.push({ key: 'batch', header: t('column.batch'), width: '5rem', align: 'right', render: (target) => target.batch });
  return (
    <DataTable
      label={t('review.title')}
      rows={targets}
      columns={columns}
      rowKey={(target) => String(target.number)}
      rowHeight={30}
      height={`min(${(targets.length + 1) * 30 + 4}px, 40dvh)`}
    />
  );
}
