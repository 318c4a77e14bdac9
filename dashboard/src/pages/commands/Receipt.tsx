import { Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Command } from '@/api/types';
import { FactList } from '@/ui/Facts';
import { bytes, count } from '@/ui/format';
import { StateBadge } from '@/ui/StateBadge';
import { Duration, Time } from '@/ui/Time';
import classes from '../work/work.module.css';

/** How a command ended, in the agent's own figures, and whether the stored output is all that it wrote. */
export function Receipt({ command }: { command: Command }) {
  const { t, i18n } = useTranslation('work');
  const { result } = command;
  const size = (value: number) => `${bytes(value, i18n.language)} (${count(value, i18n.language)})`;
  const stream = (name: 'stdout' | 'stderr') => {
    const counted = result?.[name];
    if (!counted) return null;
    return (
      <>
        {size(counted.bytes)}
        {counted.dropped > 0 && ` · ${t('receipt.dropped', { size: size(counted.dropped) })}`}
        <div className={classes.hash}>{counted.sha256}</div>
      </>
    );
  };
  return (
    <section aria-label={t('receipt.title')} data-testid="receipt">
      <Title order={2} size="h5" mb="xs">
        {t('receipt.title')}
      </Title>
      <FactList
        items={[
          [t('receipt.exit_code'), command.exit_code === null ? null : String(command.exit_code)],
          [t('receipt.signal'), command.signal],
          [t('receipt.duration'), command.started_at && <Duration from={command.started_at} to={command.ended_at} />],
          [t('receipt.started'), command.started_at && <Time at={command.started_at} absolute />],
          [t('receipt.ended'), command.ended_at && <Time at={command.ended_at} absolute />],
          [t('receipt.stdout'), stream('stdout')],
          [t('receipt.stderr'), stream('stderr')],
          [t('receipt.stored'), size(command.log_size_bytes)],
          [t('receipt.completeness'), <StateBadge key="c" state={command.log_completeness} plain />],
          [t('receipt.tree'), result && t(result.tree_gone ? 'receipt.tree_gone' : 'receipt.tree_unproved')],
          [t('receipt.purged'), command.log_purged_at && <Time at={command.log_purged_at} absolute />],
        ]}
      />
    </section>
  );
}
