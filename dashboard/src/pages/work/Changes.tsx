import { Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { components } from '@/api/schema';
import { useCauses } from '@/ui/causes';
import { StateBadge } from '@/ui/StateBadge';
import { Time } from '@/ui/Time';
import classes from './work.module.css';

type Change = components['schemas']['StatusChange'];

/** Every change of state with who brought it about, why, and what it was concluded from. */
export function Changes({ changes }: { changes: readonly Change[] }) {
  const { t } = useTranslation('work');
  const causeOf = useCauses();
  if (changes.length === 0) return null;
  return (
    <section aria-label={t('changes')}>
      <Title order={2} size="h5" mb="xs">
        {t('changes')}
      </Title>
      <ol className={classes.changes}>
        {changes.map((change, index) => (
          // States can come back (queued, pending, queued), so the place in the list is what names a change.
          <li key={index}>
            <StateBadge state={change.to} plain />
            <Time at={change.at} absolute />
            <span>{causeOf(change.cause)}</span>
            <span className={classes.evidence}>{change.actor}</span>
            {change.evidence && <span className={classes.evidence}>{change.evidence}</span>}
          </li>
        ))}
      </ol>
    </section>
  );
}
