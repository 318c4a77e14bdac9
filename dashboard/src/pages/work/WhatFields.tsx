import { Collapse, Select, SegmentedControl, SimpleGrid, Stack, UnstyledButton } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allPages } from '@/api/client';
import type { components } from '@/api/schema';
import { type Bound, Choice, Field, Flagged } from './fields';
import type { WorkForm } from './form';

type Project = components['schemas']['Project'];
type Artifact = components['schemas']['Artifact'];

const WHAT: readonly WorkForm['what'][] = ['shell', 'program', 'playbook', 'deployment'];
export const KINDS = [
  'caddy',
  'xray',
  'xray_config',
  'xray_docker',
  'install_agent',
  'upgrade_agent',
  'repair_agent',
  'rotate_agent',
  'uninstall_agent',
] as const;
const METHODS = ['auto', 'agent', 'ssh'] as const;

/** What is to be run. */
export function WhatFields(bound: Bound) {
  const { t } = useTranslation('work');
  const { form, set } = bound;
  const isCommand = form.what === 'shell' || form.what === 'program';
  return (
    <Stack gap="sm">
      <SegmentedControl
        value={form.what}
        onChange={(value) => set({ what: value as WorkForm['what'] })}
        data={WHAT.map((value) => ({ value, label: t(`what.${value}`) }))}
        aria-label={t('what.label')}
        fullWidth
      />
      {isCommand ? <CommandFields {...bound} /> : <DeploymentFields {...bound} />}
    </Stack>
  );
}

function CommandFields(bound: Bound) {
  const { t } = useTranslation('work');
  const { form } = bound;
  const filled = [form.cwd, form.user, form.env, form.secretEnv, form.stdin].some((text) => text !== '');
  return (
    <>
      <Field {...bound} name="line" mono hint rows={form.what === 'shell' ? 3 : 1} placeholder="systemctl --failed" />
      <Folded title={t('form.more_command')} opened={filled}>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <Field {...bound} name="cwd" mono placeholder="/srv/app" />
          <Field {...bound} name="user" placeholder="root" />
          <Field {...bound} name="env" mono hint rows={2} placeholder="LANG=C.UTF-8" />
          <Field {...bound} name="secretEnv" mono hint rows={2} placeholder="TOKEN=…" />
          <Field {...bound} name="stdin" mono rows={2} />
        </SimpleGrid>
      </Folded>
    </>
  );
}

function DeploymentFields(bound: Bound) {
  const { t } = useTranslation('work');
  const { form, wrong, set } = bound;
  const projects = useQuery({
    queryKey: ['playbooks'],
    queryFn: ({ signal }) => allPages<Project>('/playbooks', {}, signal),
  });
  const artifacts = useQuery({
    queryKey: ['artifacts'],
    queryFn: ({ signal }) => allPages<Artifact>('/artifacts', {}, signal),
  });
  return (
    <>
      {form.what === 'playbook' ? (
        <Select
          label={t('form.playbook')}
          description={t('form_hint.playbook')}
          data={(projects.data ?? []).map((project) => ({
            group: project.name,
            items: project.playbooks.map((file) => ({ value: `${project.name}/${file}`, label: `${project.name}/${file}` })),
          }))}
          value={form.playbook === '' ? null : form.playbook}
          onChange={(value) => set({ playbook: value ?? '' })}
          error={wrong.playbook && t(wrong.playbook)}
          searchable
        />
      ) : (
        <Choice {...bound} name="kind" values={KINDS} texts="kind" />
      )}
      <Field {...bound} name="extraVars" mono hint rows={4} placeholder={'{"caddy_config": ":80 {\\n respond \\"hello\\"\\n}"}'} />
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <Field {...bound} name="secretVars" mono hint rows={2} placeholder="db_password=…" />
        <Choice {...bound} name="method" values={METHODS} texts="method" />
        <Flagged {...bound} name="check" />
        <Flagged {...bound} name="diff" />
      </SimpleGrid>
      <Folded title={t('form.more_deployment')} opened={[form.tags, form.limit, form.artifact].some((text) => text !== '')}>
        <SimpleGrid cols={{ base: 1, sm: 2 }}>
          <Field {...bound} name="tags" />
          <Field {...bound} name="limit" />
          <Select
            label={t('form.artifact')}
            description={t('form_hint.artifact')}
            data={(artifacts.data ?? []).map(({ sha256, name }) => ({ value: sha256, label: `${name} ${sha256.slice(0, 12)}` }))}
            value={form.artifact === '' ? null : form.artifact}
            onChange={(value) => set({ artifact: value ?? '' })}
            clearable
            searchable
          />
        </SimpleGrid>
      </Folded>
    </>
  );
}

/** What few need, behind a line that opens it. */
export function Folded({ title, opened, children }: { title: string; opened: boolean; children: ReactNode }) {
  const [shown, setShown] = useState(opened);
  return (
    <div>
      <UnstyledButton fz="sm" c="var(--mantine-color-anchor)" aria-expanded={shown} onClick={() => setShown(!shown)}>
        <span aria-hidden="true">{shown ? '▾' : '▸'}</span> {title}
      </UnstyledButton>
      <Collapse expanded={shown}>
        <div style={{ paddingTop: '0.5rem' }}>{children}</div>
      </Collapse>
    </div>
  );
}
