import { Button, Menu } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import { useMayOn } from '@/api/session';
import type { Server } from '@/api/types';
import { PauseMany } from '@/pages/servers/PauseMany';
import { Confirm } from '@/ui/Confirm';
import { ButtonLink } from '@/ui/Link';
import { CheckNow } from './CheckNow';
import { EditServer } from './EditServer';
import { HostKeyDialog } from './HostKeyDialog';

type Dialog = 'edit' | 'host_key' | 'remove' | null;

/** What can be done with a server by whoever looks at it. */
export function ServerActions({ server }: { server: Server }) {
  const { t } = useTranslation('server');
  const [dialog, setDialog] = useState<Dialog>(null);
  const operator = useMayOn('operator', server);
  const admin = useMayOn('admin', server);
  const close = () => setDialog(null);
  return (
    <>
      {operator && server.agent && (
        <ButtonLink to="/run" search={{ servers: server.name } as never} size="compact-sm">
          {t('action.run')}
        </ButtonLink>
      )}
      {operator && server.agent && <CheckNow server={server.name} />}
      {operator && server.agent && !server.pause && <PauseMany servers={[server.name]} />}
      {(operator || admin) && (
        <Menu position="bottom-end">
          <Menu.Target>
            <Button size="compact-sm" variant="default">
              {t('action.more')}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {operator && (
              <Menu.Item component={Link} to="/deployments/new" search={{ server: server.name } as never}>
                {t('action.deploy')}
              </Menu.Item>
            )}
            {operator && (
              <Menu.Item component={Link} to="/deployments/new" search={{ kind: 'upgrade_agent', server: server.name } as never}>
                {t('action.upgrade')}
              </Menu.Item>
            )}
            {admin && <Menu.Divider />}
            {admin && <Menu.Item onClick={() => setDialog('edit')}>{t('action.edit')}</Menu.Item>}
            {admin && <Menu.Item onClick={() => setDialog('host_key')}>{t('action.host_key')}</Menu.Item>}
            {admin && (
              <Menu.Item component={Link} to="/servers/new" search={{ server: server.name } as never}>
                {server.agent ? t('action.reinstall') : t('no_agent.install')}
              </Menu.Item>
            )}
            {admin && (
              <Menu.Item c="red" onClick={() => setDialog('remove')}>
                {t('action.remove')}
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      )}
      {dialog === 'edit' && <EditServer server={server} onClose={close} />}
      {dialog === 'host_key' && <HostKeyDialog server={server} onClose={close} />}
      <RemoveServer server={server} opened={dialog === 'remove'} onClose={close} />
    </>
  );
}

function RemoveServer({ server, opened, onClose }: { server: Server; opened: boolean; onClose: () => void }) {
  const { t } = useTranslation('server');
  const queries = useQueryClient();
  const navigate = useNavigate();
  const remove = async () => {
    await request('DELETE', `/servers/${server.id}`, { headers: { 'If-Match': `"${server.etag}"` } });
    await navigate({ to: '/servers' });
    queries.removeQueries({ queryKey: ['servers', 'one', server.name] });
    await queries.invalidateQueries({ queryKey: ['servers'] });
  };
  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title={t('remove.title', { name: server.name })}
      action={t('action.remove')}
      danger
      typed={server.name}
      onConfirm={remove}
    >
      {t('remove.text')}
    </Confirm>
  );
}
