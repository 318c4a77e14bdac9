import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Step } from '@/api/types';
import classes from './StepList.module.css';
import { Cure } from './Cure';
import { SIGNS, toneOf } from './states';
import { Duration } from './Time';

/** The steps of a deployment: what is done, what is being done, and what went wrong with what helps. */
export function StepList({ steps }: { steps: readonly Step[] }) {
  const { t } = useTranslation('states');
  return (
    <ol className={classes.list} aria-label={t('steps')}>
      {steps.map((step) => (
        <li key={step.name} className={classes.step} data-tone={toneOf(step.status)} data-step={step.name} data-status={step.status}>
          <span className={classes.sign} aria-hidden="true">
            {step.status === 'success' ? '✓' : step.status === 'pending' ? '' : SIGNS[toneOf(step.status)]}
          </span>
          <div style={{ minWidth: 0, flex: 1 }}>
            <Text size="sm" fw={step.status === 'running' ? 700 : 500} component="span">
              {t(`step.${step.name}`, { defaultValue: step.title || step.name })}
            </Text>
            <span className={classes.word}>{t(`name.${step.status}`)}</span>
            {step.message && (
              <Text size="sm" className={classes.message}>
                {step.message}
              </Text>
            )}
            <Cure reason={step.reason} cure={step.cure} />
          </div>
          <Text size="xs" c="dimmed" component="span">
            {step.started_at && <Duration from={step.started_at} to={step.ended_at} />}
          </Text>
        </li>
      ))}
    </ol>
  );
}
