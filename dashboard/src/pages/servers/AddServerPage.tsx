import { Stepper } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { serverDetail } from '@/api/servers';
import { ErrorNote } from '@/ui/ErrorNote';
import { Page } from '@/ui/Page';
import { useUrlState } from '@/ui/useUrlState';
import { HostKeyStep } from './HostKeyStep';
import { InstallStep } from './InstallStep';
import { ServerForm } from './ServerForm';

/** From an address and a login to a managed server. Where one is stands in the address, so that a reload goes on. */
export function AddServerPage() {
  const { t } = useTranslation('add_server');
  const [name, setName] = useUrlState('server');
  const [deployment, setDeployment] = useUrlState('deployment');
  const server = useQuery({ ...serverDetail(name), enabled: name !== '' });
  const stage = name === '' ? 0 : deployment === '' ? 1 : 2;
  return (
    <Page title={t('title')} description={t('description')}>
      <Stepper active={stage} size="sm" allowNextStepsSelect={false}>
        <Stepper.Step label={t('stage.form')} />
        <Stepper.Step label={t('stage.host_key')} />
        <Stepper.Step label={t('stage.install')} />
      </Stepper>
      {stage === 0 && <ServerForm onAdded={setName} />}
      <ErrorNote error={server.error} onRetry={() => void server.refetch()} />
      {stage === 1 && server.data && <HostKeyStep server={server.data} onStarted={setDeployment} />}
      {stage === 2 && <InstallStep server={name} deployment={deployment} onAgain={setDeployment} />}
    </Page>
  );
}
