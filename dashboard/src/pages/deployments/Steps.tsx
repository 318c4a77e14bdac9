import { Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Step } from '@/api/types';
import { StateBadge } from '@/ui/StateBadge';
import { Duration } from '@/ui/Time';
import classes from './deployments.module.css';

/** What is done one after the other, with what went wrong and what helps. */
export function Steps({ steps }: { steps: readonly Step[] }) {
  const { t } = useTranslation('work');
  if (steps.length === 0) return null;
  return (
    <section aria-label={t('deploy.steps')}>
      <Title order={2} size="h5" mb="xs">
        {t('deploy.steps')}
      </Title>
      <ol className={classes.steps} data-testid="steps">
        {steps.map((step) => (
          <li key={step.name} data-status={step.status}>
            <div className={classes.step}>
              <StateBadge state={step.status} plain />
              <span className={classes.title}>{step.title || step.name}</span>
              {step.started_at && (
                <Text size="xs" c="dimmed" component="span">
                  <Duration from={step.started_at} to={step.ended_at} />
                </Text>
              )}
            </div>
            {step.message && <p className={classes.message}>{step.message}</p>}
            {step.cure && (
              <p className={classes.cure}>
                <b>{t('deploy.cure')}</b> {step.cure}
              </p>
            )}
          </li>
        ))}
      </ol>
    </section>
  );
}
