import { useSearch } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { prefilled, WorkPage } from '../run/RunPage';

type Search = Partial<Record<string, string>>;

/** Deploy on one server or many; `?server=`, `?kind=`. */
export function NewDeploymentPage() {
  const { t } = useTranslation('work');
  const search = useSearch({ strict: false }) as Search;
  const { server, ...rest } = search;
  const initial = { what: 'deployment' as const, ...prefilled({ ...rest, servers: rest.servers ?? server }) };
  return <WorkPage title={t('deploy.new')} about={t('deploy.about')} initial={initial} />;
}
