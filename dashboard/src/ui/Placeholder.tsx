import { useTranslation } from 'react-i18next';
import { EmptyState } from './EmptyState';

/** Stands where a page is still to be written. */
export function Placeholder() {
  const { t } = useTranslation('common');
  return <EmptyState title={t('placeholder.title')} text={t('placeholder.text')} />;
}
