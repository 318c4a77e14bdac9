import { Alert, Loader } from '@mantine/core';
import { useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { connection } from '@/api/connection';
import classes from './Shell.module.css';

/** While the gateway cannot be reached: that what is shown may be old, and that nothing has to be done. */
export function ConnectionBanner() {
  const { t } = useTranslation('shell');
  const state = useSyncExternalStore(connection.subscribe, connection.snapshot);
  return (
    <div role="status" className={classes.banner} data-testid="connection" data-state={state}>
      {state === 'lost' && (
        <Alert color="orange" variant="filled" icon={<Loader size="xs" color="white" />} mb="md" autoContrast>
          {t('connection_lost')}
        </Alert>
      )}
    </div>
  );
}
