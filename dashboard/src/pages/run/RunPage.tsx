import { Button, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMay } from '@/api/session';
import { EmptyState } from '@/ui/EmptyState';
import { Page } from '@/ui/Page';
import type { WorkForm } from '../work/form';
import { HowFields } from '../work/HowFields';
import { useWorkForm } from '../work/useWorkForm';
import { WhatFields } from '../work/WhatFields';
import { WhereFields } from '../work/WhereFields';
import { Review } from './Review';

type Search = Partial<Record<string, string>>;
const WHATS = ['shell', 'program', 'playbook', 'deployment'];

/** What a link has filled in already: `?selector=`, `?servers=a,b`, `?line=` and the like, `?playbook=`, `?kind=`. */
export function prefilled(search: Search): Partial<WorkForm> {
  const form: Partial<WorkForm> = {};
  if (search.selector) form.selector = search.selector;
  if (search.servers) Object.assign(form, { where: 'servers', servers: search.servers.split(',').filter(Boolean) });
  for (const name of ['line', 'cwd', 'user', 'env'] as const) if (search[name]) form[name] = search[name];
  if (search.playbook) Object.assign(form, { what: 'playbook', playbook: search.playbook });
  if (search.kind) Object.assign(form, { what: 'deployment', kind: search.kind });
  if (search.what && WHATS.includes(search.what)) form.what = search.what as WorkForm['what'];
  return form;
}

/** Run a command or a playbook on servers: what, where, how; then the list, and only then it starts. */
export function RunPage() {
  const { t } = useTranslation('work');
  const search = useSearch({ strict: false }) as Search;
  return <WorkPage title={t('run.title')} about={t('run.about')} initial={prefilled(search)} />;
}

interface WorkPageProps {
  title: string;
  about: string;
  initial: Partial<WorkForm>;
}

export function WorkPage({ title, about, initial }: WorkPageProps) {
  const { t } = useTranslation('work');
  const { validate, ...bound } = useWorkForm(initial);
  const [reviewed, setReviewed] = useState<WorkForm | null>(null);
  if (!useMay('operator')) {
    return (
      <Page title={title}>
        <EmptyState title={t('run.forbidden.title')} text={t('run.forbidden.text')} />
      </Page>
    );
  }
  const review = () => {
    if (validate()) setReviewed(bound.form);
  };
  return (
    <Page title={title} description={about}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          review();
        }}
      >
        <Stack gap="md">
          <Part title={t('run.what')}>
            <WhatFields {...bound} />
          </Part>
          <Part title={t('run.where')}>
            <WhereFields {...bound} />
          </Part>
          <Part title={t('run.how')}>
            <HowFields {...bound} />
          </Part>
          <Group>
            <Button type="submit">{t('run.review')}</Button>
            {Object.keys(bound.wrong).length > 0 && (
              <Text size="sm" c="var(--mantine-color-error)" role="alert">
                {t('run.wrong', { count: Object.keys(bound.wrong).length })}
              </Text>
            )}
          </Group>
        </Stack>
      </form>
      {reviewed !== null && <Review form={reviewed} onClose={() => setReviewed(null)} />}
    </Page>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Title order={2} size="h5">
          {title}
        </Title>
        {children}
      </Stack>
    </Paper>
  );
}
