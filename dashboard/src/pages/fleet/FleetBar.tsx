import { Group, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { count } from '@/ui/format';
import { SIGNS, toneOf } from '@/ui/states';
import classes from './FleetBar.module.css';

const ORDER = ['online', 'offline', 'unknown', 'pending', 'no_agent'];
/** How the selector grammar calls a server without an agent. */
const SELECTOR: Record<string, string> = { no_agent: 'none' };

/** All servers as one bar, and a number for each state that leads to those servers. */
export function FleetBar({ counts, total }: { counts: Record<string, number>; total: number }) {
  const { t, i18n } = useTranslation(['fleet', 'states']);
  const states = [...ORDER, ...Object.keys(counts).filter((state) => !ORDER.includes(state))];
  return (
    <section aria-label={t('servers_by_state')}>
      <Group gap="sm" className={classes.tiles}>
        <Link to="/servers" className={classes.tile} data-tone="all">
          <Text fz={28} fw={700} lh={1.1} data-testid="total">
            {count(total, i18n.language)}
          </Text>
          <Text size="sm">{t('servers', { count: total })}</Text>
        </Link>
        {states
          .filter((state) => (counts[state] ?? 0) > 0 || state === 'online' || state === 'offline')
          .map((state) => (
            <Link
              key={state}
              to="/servers"
              search={{ selector: `status=${SELECTOR[state] ?? state}` } as never}
              className={classes.tile}
              data-tone={(counts[state] ?? 0) > 0 ? toneOf(state) : 'none'}
              data-testid={`tile-${state}`}
            >
              <Text fz={28} fw={700} lh={1.1}>
                {count(counts[state] ?? 0, i18n.language)}
              </Text>
              <Text size="sm">
                <span aria-hidden="true">{SIGNS[toneOf(state)]}</span> {t(`states:name.${state}`)}
              </Text>
            </Link>
          ))}
      </Group>
      <div className={classes.bar} aria-hidden="true">
        {states.filter((state) => (counts[state] ?? 0) > 0).map((state) => (
          <span key={state} data-tone={toneOf(state)} style={{ flexGrow: counts[state] ?? 0 }} />
        ))}
      </div>
    </section>
  );
}
