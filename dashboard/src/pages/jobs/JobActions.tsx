import { Button, Checkbox, Modal, NumberInput, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMay } from '@/api/session';
import type { Job } from '@/api/types';
import { isFinalJob } from '@/streams/job';
import { Confirm } from '@/ui/Confirm';
import { ErrorNote } from '@/ui/ErrorNote';
import { useAttempt } from '@/ui/useAttempt';
import { useIdempotencyKey } from '@/ui/useIdempotencyKey';
import { secretsOf } from '../work/describe';

type Dialog = 'cancel' | 'retry' | 'concurrency' | null;

interface JobActionsProps {
  job: Job;
  onChange: (job: Job) => void;
}

/** What can be done with a job in its state; nothing for those who may only look. */
export function JobActions({ job, onChange }: JobActionsProps) {
  const { t } = useTranslation('work');
  const [dialog, setDialog] = useState<Dialog>(null);
  const { busy, error, attempt } = useAttempt();
  if (!useMay('operator')) return null;
  const { status } = job;
  const isOpen = !isFinalJob(status) && status !== 'unknown';
  const call = (verb: 'pause' | 'resume') =>
    attempt(async () => onChange(await request<Job>('POST', `/jobs/${job.id}/${verb}`)));
  const close = () => setDialog(null);
  return (
    <>
      {(status === 'pending' || status === 'running') && (
        <Button variant="default" loading={busy} onClick={() => void call('pause')}>
          {t('action.pause')}
        </Button>
      )}
      {status === 'paused' && (
        <Button loading={busy} onClick={() => void call('resume')}>
          {t('action.resume')}
        </Button>
      )}
      {isOpen && status !== 'cancelling' && (
        <Button variant="default" onClick={() => setDialog('concurrency')}>
          {t('action.concurrency')}
        </Button>
      )}
      {isOpen && status !== 'cancelling' && (
        <Button color="red" variant="outline" onClick={() => setDialog('cancel')}>
          {t('action.cancel')}
        </Button>
      )}
      {!isOpen && (
        <Button variant="default" onClick={() => setDialog('retry')}>
          {t('action.retry')}
        </Button>
      )}
      <ErrorNote error={error} />
      <CancelJob job={job} opened={dialog === 'cancel'} onClose={close} onChange={onChange} />
      {dialog === 'concurrency' && <Concurrency job={job} onClose={close} onChange={onChange} />}
      {dialog === 'retry' && <Retry job={job} onClose={close} />}
    </>
  );
}

interface DialogProps {
  job: Job;
  onClose: () => void;
  onChange: (job: Job) => void;
}

function CancelJob({ job, opened, onClose, onChange }: DialogProps & { opened: boolean }) {
  const { t } = useTranslation('work');
  const [grace, setGrace] = useState<number | string>(10);
  const { waiting = 0, running = 0 } = job.counts;
  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title={t('cancel.title')}
      action={t('action.cancel')}
      danger
      onConfirm={async () => {
        onChange(await request<Job>('POST', `/jobs/${job.id}/cancel`, { body: { grace_s: grace === '' ? null : Number(grace) } }));
      }}
    >
      <Stack gap="xs">
        {waiting > 0 && <span>{t('cancel.waiting', { count: waiting })}</span>}
        {running > 0 && <span>{t('cancel.running', { count: running })}</span>}
        <NumberInput label={t('cancel.grace')} value={grace} onChange={setGrace} min={0} max={3600} />
      </Stack>
    </Confirm>
  );
}

function Concurrency({ job, onClose, onChange }: DialogProps) {
  const { t } = useTranslation('work');
  const [share, setShare] = useState(job.options.concurrency ?? '50');
  return (
    <Form
      title={t('action.concurrency')}
      action={t('action.save')}
      onClose={onClose}
      onSubmit={async () => {
        onChange(await request<Job>('PATCH', `/jobs/${job.id}`, { body: { concurrency: share.trim() } }));
      }}
    >
      <TextInput
        label={t('option.concurrency')}
        description={t('option.concurrency_hint')}
        value={share}
        onChange={(event) => setShare(event.currentTarget.value)}
        data-autofocus
      />
    </Form>
  );
}

const AGAIN = ['failed', 'unreachable', 'timeout', 'not_started'];
const PERHAPS = ['lost', 'unknown', 'cancelled', 'skipped'];

function Retry({ job, onClose }: Omit<DialogProps, 'onChange'>) {
  const { t } = useTranslation('work');
  const navigate = useNavigate();
  const present = [...AGAIN, ...PERHAPS].filter((status) => (job.counts[status as keyof typeof job.counts] ?? 0) > 0);
  const [statuses, setStatuses] = useState(present.filter((status) => AGAIN.includes(status)));
  const [secrets, setSecrets] = useState<Record<string, string>>({});
  const keyOf = useIdempotencyKey();
  if (present.length === 0) {
    return (
      <Modal opened onClose={onClose} title={t('action.retry')} centered>
        <Text>{t('retry.nothing')}</Text>
      </Modal>
    );
  }
  const start = async () => {
    const body = { statuses, secrets };
    const made = await request<Job>('POST', `/jobs/${job.id}/retry`, { body, headers: keyOf(body) });
    void navigate({ to: '/jobs/$jobId', params: { jobId: made.id } as never });
  };
  return (
    <Form title={t('action.retry')} action={t('retry.start')} onClose={onClose} onSubmit={start} disabled={statuses.length === 0}>
      <Checkbox.Group label={t('retry.which')} description={t('retry.hint')} value={statuses} onChange={setStatuses}>
        <Stack gap={6} mt="xs">
          {present.map((status) => (
            <Checkbox
              key={status}
              value={status}
              label={`${t(`states:name.${status}`, { defaultValue: status })} (${job.counts[status as keyof typeof job.counts]})`}
            />
          ))}
        </Stack>
      </Checkbox.Group>
      {secretsOf(job.work).map((name) => (
        <PasswordInput
          key={name}
          label={t('retry.secret', { name })}
          value={secrets[name] ?? ''}
          onChange={(event) => setSecrets({ ...secrets, [name]: event.currentTarget.value })}
          autoComplete="off"
          required
        />
      ))}
    </Form>
  );
}

interface FormProps {
  title: string;
  action: string;
  onClose: () => void;
  onSubmit: () => Promise<void>;
  disabled?: boolean;
  children: ReactNode;
}

function Form({ title, action, onClose, onSubmit, disabled, children }: FormProps) {
  const { busy, error, attempt } = useAttempt();
  const submit = () =>
    attempt(async () => {
      await onSubmit();
      onClose();
    });
  return (
    <Modal opened onClose={onClose} title={title} centered>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Stack>
          {children}
          <ErrorNote error={error} />
          <Button type="submit" loading={busy} disabled={disabled}>
            {action}
          </Button>
        </Stack>
      </form>
    </Modal>
  );
}
