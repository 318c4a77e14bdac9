import { Stack, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Job } from '@/api/types';
import { FactList } from '@/ui/Facts';
import { duration } from '@/ui/format';
import { TextLink } from '@/ui/Link';
import { Duration, Time } from '@/ui/Time';
import { Changes } from '../work/Changes';

/** How a job goes over its targets, and what has become of it so far. */
export function JobFacts({ job }: { job: Job }) {
  const { t, i18n } = useTranslation('work');
  const { options } = job;
  const seconds = (value: number | null | undefined) => (value ? duration(value, i18n.language) : null);
  return (
    <Stack gap="md">
      <Title order={2} size="h5">
        {t('facts.title')}
      </Title>
      <FactList
        items={[
          [t('option.batch'), job.batch_count > 1 ? t('job.batch_of', { batch: job.batch, count: job.batch_count }) : null],
          [t('option.concurrency'), options.concurrency ?? t('option.concurrency_default')],
          [t('option.batches'), options.batches?.join(', ')],
          [t('option.batch_label'), options.batch_label],
          [t('option.batch_pause_s'), seconds(options.batch_pause_s)],
          [t('option.canary'), options.canary],
          [t('option.canary_soak_s'), seconds(options.canary_soak_s)],
          [t('option.max_failed'), options.max_failed],
          [t('option.max_unreachable'), options.max_unreachable],
          [t('facts.requested_by'), job.requested_by],
          [t('facts.created'), <Time key="c" at={job.created_at} />],
          [t('facts.took'), job.started_at ? <Duration key="d" from={job.started_at} to={job.ended_at} /> : null],
          [t('facts.owner'), job.owner],
          [t('facts.list_hash'), job.targets_sha256.slice(0, 16)],
          [
            t('facts.retry_of'),
            job.retry_of && (
              <TextLink to="/jobs/$jobId" params={{ jobId: job.retry_of }}>
                {job.retry_of}
              </TextLink>
            ),
          ],
          [
            t('facts.schedule'),
            job.schedule_id && (
              <TextLink to="/schedules/$schedule" params={{ schedule: job.schedule_id }}>
                {job.schedule_id}
              </TextLink>
            ),
          ],
        ]}
      />
      <Changes changes={job.changes} />
    </Stack>
  );
}
