import { Modal, NativeSelect, Stack, Textarea, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { type FormEvent, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { Server } from '@/api/types';
import { formatLabels, parseLabels } from '@/pages/servers/newServer';
import { ErrorNote } from '@/ui/ErrorNote';
import { FormButtons } from '@/ui/FormButtons';
import { useAttempt } from '@/ui/useAttempt';

/** Name, address, labels and what MyX does when the agent breaks. Refused when somebody else changed it meanwhile. */
export function EditServer({ server, onClose }: { server: Server; onClose: () => void }) {
  const { t } = useTranslation(['server', 'common', 'add_server']);
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState(server.name);
  const [address, setAddress] = useState(server.address);
  const [labels, setLabels] = useState(() => formatLabels(server.labels));
  const [repair, setRepair] = useState<string>(server.repair_policy);
  const { busy, error, said, attempt } = useAttempt();
  // What the form was opened with, and not what came since: a change by others must not be overwritten unseen.
  const [etag] = useState(server.etag);
  const save = async () => {
    try {
      const changed = await request<Server>('PATCH', `/servers/${server.id}`, {
        body: { name: name.trim(), address: address.trim(), labels: parseLabels(labels), repair_policy: repair },
        headers: { 'If-Match': `"${etag}"` },
      });
      if (changed.name !== server.name) {
        await navigate({ to: '/servers/$server', params: { server: changed.name }, replace: true });
      }
      await queries.invalidateQueries({ queryKey: ['servers'] });
      onClose();
    } catch (failure) {
      // Whoever opens the form again sees what the other one made of it.
      await queries.invalidateQueries({ queryKey: ['servers'] });
      throw failure;
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void attempt(save);
  };
  return (
    <Modal opened onClose={onClose} title={t('edit.title', { name: server.name })}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput label={t('add_server:name')} required value={name} onChange={(event) => setName(event.currentTarget.value)} error={said.name} />
          <TextInput label={t('add_server:address')} required value={address} onChange={(event) => setAddress(event.currentTarget.value)} error={said.address} />
          <Textarea
            label={t('add_server:labels')}
            description={t('add_server:labels_help')}
            autosize
            minRows={3}
            value={labels}
            onChange={(event) => setLabels(event.currentTarget.value)}
            error={said.labels}
          />
          <NativeSelect
            label={t('fact.repair')}
            description={t('edit.repair_help')}
            value={repair}
            onChange={(event) => setRepair(event.currentTarget.value)}
            data={['automatic', 'ask', 'off'].map((one) => ({ value: one, label: t(`repair.${one}`) }))}
          />
          <ErrorNote error={error} />
          <FormButtons busy={busy} onClose={onClose} />
        </Stack>
      </form>
    </Modal>
  );
}
