import { Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { components } from '@/api/schema';
import { useCauses } from '@/ui/causes';
import { duration } from '@/ui/format';
import { Time } from '@/ui/Time';
import classes from './work.module.css';

type Attempt = components['schemas']['Attempt'];

/** The tries to reach an agent, each with what stood against it. */
export function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  const { t, i18n } = useTranslation('work');
  const causeOf = useCauses();
  if (attempts.length === 0) return null;
  return (
    <section aria-label={t('attempts')}>
      <Title order={2} size="h5" mb="xs">
        {t('attempts')}
      </Title>
      <ol className={classes.changes}>
        {attempts.map((attempt, index) => (
          <li key={index}>
            <Time at={attempt.at} absolute />
            <span>
              {attempt.cause === '' ? t('reached') : causeOf(attempt.cause)}
            </span>
            {attempt.message && <span className={classes.evidence}>{attempt.message}</span>}
            {attempt.wait_s ? (
              <span className={classes.evidence}>{t('waited', { time: duration(attempt.wait_s, i18n.language) })}</span>
            ) : null}
          </li>
        ))}
      </ol>
    </section>
  );
}
