import { Button, Group, Paper, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allPages, request } from '@/api/client';
import type { components } from '@/api/schema';
import { useMay } from '@/api/session';
import { Confirm } from '@/ui/Confirm';
import { CopyText } from '@/ui/CopyText';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { FactList } from '@/ui/Facts';
import { bytes } from '@/ui/format';
import { TextLink } from '@/ui/Link';
import { Page } from '@/ui/Page';
import { Time } from '@/ui/Time';

type Project = components['schemas']['Project'];

// What ships with MyX cannot be removed.
const OWN = 'myx';
const PUSH = 'myx playbook push ./my-project';
// Those of MyX are deployments of a kind, with steps before and after the play.
const KIND_OF: Record<string, string> = {
  'deploy_caddy.yml': 'caddy',
  'deploy_xray.yml': 'xray',
  'deploy_xray_config.yml': 'xray_config',
  'deploy_xray_docker.yml': 'xray_docker',
  'install_agent.yml': 'install_agent',
  'upgrade_agent.yml': 'upgrade_agent',
  'uninstall_agent.yml': 'uninstall_agent',
};

/** What the form is filled in with to run a playbook. */
function filled(project: string, file: string): Record<string, string> {
  const kind = project === OWN ? KIND_OF[file] : undefined;
  return kind === undefined ? { playbook: `${project}/${file}` } : { kind };
}

/** Projects of playbooks. They are pushed by the command line, out of a working copy. */
export function PlaybooksPage() {
  const { t } = useTranslation('work');
  const query = useQuery({
    queryKey: ['playbooks'],
    queryFn: ({ signal }) => allPages<Project>('/playbooks', {}, signal),
  });
  const items = query.data ?? [];
  const foreign = items.filter((project) => project.name !== OWN);
  return (
    <Page title={t('playbooks.title')} description={t('playbooks.about')}>
      <ErrorNote error={query.error} onRetry={() => void query.refetch()} />
      {query.isPending && <Skeleton h={200} />}
      {query.data && foreign.length === 0 && (
        <EmptyState title={t('playbooks.empty.title')} text={t('playbooks.empty.text')}>
          <CopyText text={PUSH} />
        </EmptyState>
      )}
      {items.map((project) => (
        <ProjectCard key={project.name} project={project} />
      ))}
      {foreign.length > 0 && (
        <Group gap="xs">
          <Text size="sm">{t('playbooks.push')}</Text>
          <CopyText text={PUSH} />
        </Group>
      )}
    </Page>
  );
}

function ProjectCard({ project }: { project: Project }) {
  const { t, i18n } = useTranslation('work');
  const queries = useQueryClient();
  const [removing, setRemoving] = useState(false);
  const mayRun = useMay('operator');
  const mayRemove = useMay('operator', true) && project.name !== OWN;
  return (
    <Paper withBorder p="md">
      <Stack gap="sm">
        <Group justify="space-between">
          <Title order={2} size="h5">
            {project.name}
          </Title>
          {mayRemove && (
            <Button size="compact-sm" color="red" variant="outline" onClick={() => setRemoving(true)}>
              {t('action.remove')}
            </Button>
          )}
        </Group>
        <FactList
          items={[
            [t('playbooks.version'), project.version],
            [t('playbooks.size'), project.size_bytes > 0 ? bytes(project.size_bytes, i18n.language) : ''],
            [t('playbooks.pushed_by'), project.pushed_by],
            [t('playbooks.pushed'), project.pushed_at && <Time key="t" at={project.pushed_at} />],
          ]}
        />
        <Stack gap={4} component="ul" m={0} p={0} style={{ listStyle: 'none' }}>
          {project.playbooks.map((file) => (
            <Group key={file} component="li" gap="sm">
              <Text ff="monospace" size="sm" style={{ overflowWrap: 'anywhere' }}>
                {file}
              </Text>
              {mayRun && (
                <TextLink size="sm" to="/run" search={filled(project.name, file) as never}>
                  {t('playbooks.run')}
                </TextLink>
              )}
            </Group>
          ))}
        </Stack>
      </Stack>
      <Confirm
        opened={removing}
        onClose={() => setRemoving(false)}
        title={t('playbooks.remove_title', { name: project.name })}
        action={t('action.remove')}
        danger
        typed={project.name}
        onConfirm={async () => {
          await request('DELETE', `/playbooks/${encodeURIComponent(project.name)}`);
          await queries.invalidateQueries({ queryKey: ['playbooks'] });
        }}
      >
        {t('playbooks.remove_text')}
      </Confirm>
    </Paper>
  );
}
