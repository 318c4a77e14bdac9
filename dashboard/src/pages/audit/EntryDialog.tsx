import { Modal, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { AuditEntry } from '@/api/types';
import { CopyText } from '@/ui/CopyText';
import { FactList } from '@/ui/Facts';
import { Time } from '@/ui/Time';
import classes from './audit.module.css';

/** All that one entry says, with its place in the chain. */
export function EntryDialog({ entry, onClose }: { entry: AuditEntry; onClose: () => void }) {
  const { t } = useTranslation('audit');
  return (
    <Modal opened onClose={onClose} title={`${entry.operation} · ${entry.seq}`} size="xl">
      <Stack>
        <FactList
          items={[
            [t('column.at'), <Time key="at" at={entry.at} absolute />],
            [t('column.who'), entry.via ? `${entry.principal} (${entry.via})` : entry.principal],
            [t('column.from'), entry.address],
            [t('column.result'), `${t(`result.${entry.result}`, { defaultValue: entry.result })} ${entry.status || ''} ${entry.reason}`],
            [t('column.on'), [...entry.targets, entry.resource].filter(Boolean).join(', ')],
            [t('request'), entry.request_id],
            [t('hash'), <CopyText key="hash" text={entry.hash} />],
          ]}
        />
        {Object.keys(entry.details).length > 0 && (
          <div>
            <Text size="sm" fw={600}>
              {t('details')}
            </Text>
            <pre className={classes.details}>{JSON.stringify(entry.details, null, 2)}</pre>
          </div>
        )}
      </Stack>
    </Modal>
  );
}
