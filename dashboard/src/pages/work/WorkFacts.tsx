import { Code, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { FactList } from '@/ui/Facts';
import { duration } from '@/ui/format';
import { type AnyWork, type CommandContent, commandLine, type DeploymentContent, deploymentName } from './describe';
import classes from './work.module.css';

/** What is run and how, without secrets. */
export function WorkFacts({ work }: { work: AnyWork }) {
  if (work.command) return <CommandFacts command={work.command} />;
  return work.deployment ? <DeploymentFacts deployment={work.deployment} /> : null;
}

function useSeconds(): (value: number | null | undefined) => string | null {
  const { i18n } = useTranslation();
  return (value) => (value ? duration(value, i18n.language) : null);
}

export function CommandFacts({ command }: { command: CommandContent }) {
  const { t } = useTranslation('work');
  const seconds = useSeconds();
  return (
    <>
      <Text component="pre" className={classes.line} tabIndex={0} data-testid="command-line">
        {commandLine(command.command, command.args)}
      </Text>
      <FactList
        items={[
          [t('field.cwd'), command.cwd && <Code>{command.cwd}</Code>],
          [t('field.user'), command.user],
          [
            t('field.env'),
            Object.entries(command.env)
              .map(([name, value]) => `${name}=${value}`)
              .join(' '),
          ],
          [t('field.secret_env'), command.secret_env_names.join(', ')],
          [t('field.timeout_s'), command.timeout_s === 0 ? t('field.no_limit') : seconds(command.timeout_s)],
          [t('field.no_output_timeout_s'), seconds(command.no_output_timeout_s)],
          [t('field.offline'), command.offline === 'fail' ? null : t(`offline.${command.offline}`)],
          [t('field.queue_timeout_s'), seconds(command.queue_timeout_s)],
          [t('field.lock'), command.lock === 'none' ? null : t(`lock.${command.lock}`)],
        ]}
      />
    </>
  );
}

export function DeploymentFacts({ deployment }: { deployment: DeploymentContent }) {
  const { t } = useTranslation('work');
  const seconds = useSeconds();
  const variables = Object.keys(deployment.extra_vars ?? {}).length > 0;
  return (
    <FactList
      items={[
        [t('field.kind'), deploymentName(t, deployment)],
        [t('field.method'), t(`method.${deployment.method}`)],
        [
          t('field.extra_vars'),
          variables && <pre className={classes.line}>{JSON.stringify(deployment.extra_vars, null, 1)}</pre>,
        ],
        [t('field.secret_vars'), deployment.secret_var_names.join(', ')],
        [t('field.check'), deployment.check ? t('yes') : null],
        [t('field.diff'), deployment.diff ? t('yes') : null],
        [t('field.tags'), deployment.tags.join(', ')],
        [t('field.skip_tags'), deployment.skip_tags.join(', ')],
        [t('field.limit'), deployment.limit],
        [t('field.timeout_s'), seconds(deployment.timeout_s)],
        [t('field.no_output_timeout_s'), seconds(deployment.no_output_timeout_s)],
        [t('field.offline'), deployment.offline === 'fail' ? null : t(`offline.${deployment.offline}`)],
        [t('field.lock'), deployment.lock === 'none' ? null : t(`lock.${deployment.lock}`)],
      ]}
    />
  );
}
