import { Stack, Text } from '@mantine/core';
import { useParams } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '@/api/client';
import { isFinalJob } from '@/streams/job';
import { StreamLine } from '@/terminal/StreamLine';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { StateBadge, StateStory } from '@/ui/StateBadge';
import { standingOf } from '@/ui/states';
import { shortened, titleOf } from '../work/describe';
import { WorkFacts } from '../work/WorkFacts';
import { endedOf, JobProgress } from './counts';
import { JobActions } from './JobActions';
import { JobFacts } from './JobFacts';
import classes from './JobPage.module.css';
import { TargetOutput } from './TargetOutput';
import { TargetsPane } from './TargetsPane';
import { useJob } from './useJob';

/** One job: what it does, how far it is, each of its hosts, and what one of them says. */
export function JobPage() {
  const { jobId } = useParams({ strict: false }) as { jobId: string };
  return <JobView key={jobId} id={jobId} />;
}

function JobView({ id }: { id: string }) {
  const { t } = useTranslation('work');
  const { job, targets, stream, hurry, take } = useJob(id);
  const [chosen, setChosen] = useState(0);
  const shown = useRef(0);
  if (job === null) {
    return (
      <Page title={t('job.title')}>
        {stream.kind === 'failed' ? (
          <ErrorNote
            error={
              new ApiError({ status: stream.status, reason: 'JOB_NOT_SHOWN', detail: stream.detail, fields: {}, requestId: '' })
            }
            onRetry={hurry}
          />
        ) : (
          <Text c="dimmed">{t('loading')}</Text>
        )}
      </Page>
    );
  }
  // Chosen by nobody: what is of most interest when the page has something to show, and it stays that one.
  const begun = targets.get(shown.current)?.status ?? 'waiting';
  if (begun === 'waiting') shown.current = targets.interesting();
  const selected = chosen || shown.current;
  const kind = job.work.command ? 'commands' : 'deployments';
  return (
    <Page
      title={job.name || shortened(titleOf(t, job.work), 48)}
      aside={
        <StateBadge {...standingOf(job)} />
      }
      description={t('job.where', { selector: job.selector || t('job.named'), count: job.target_count })}
      actions={<JobActions job={job} onChange={take} />}
    >
      <WorkFacts work={job.work} />
      <Stack gap={6}>
        <Text size="sm" aria-hidden="true" data-testid="ended">
          {t('job.ended_of', { ended: endedOf(job.counts, job.target_count), total: job.target_count })}
        </Text>
        <JobProgress counts={job.counts} total={job.target_count} />
        {!isFinalJob(job.status) && <StreamLine state={stream} onRetry={hurry} />}
        {(job.status !== 'running' || job.message) && (
          <StateStory {...standingOf(job)} />
        )}
      </Stack>
      <div className={classes.split}>
        <TargetsPane job={job} targets={targets} selected={selected} onSelect={setChosen} />
        <TargetOutput target={targets.get(selected)} kind={kind} />
      </div>
      <JobFacts job={job} />
    </Page>
  );
}
