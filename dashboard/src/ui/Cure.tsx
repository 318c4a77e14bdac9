import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { namesOf } from './causes';

/** Reasons whose cure depends on the host: the service's own words (English) say more than the text of the reason. */
const PARTICULAR = new Set([
  'ssh_unreachable',
  'ssh_auth_failed',
  'ssh_command_failed',
  'sudo_needs_tty',
  'sudo_not_allowed',
  'sudo_password_needed',
  'python_missing',
  'python_not_brought',
  'disk_full',
  'port_blocked',
]);

interface CureProps {
  reason: string;
  /** The service's sentence; empty: it knows of none. */
  cure: string;
}

/** What helps, in the person's language where its reason has a text. */
export function Cure({ reason, cure }: CureProps) {
  const { t } = useTranslation('states');
  if (cure === '') return null;
  const names = namesOf(reason);
  const said = t(names.map((name) => `cure_of.${name}`), { defaultValue: cure });
  return (
    <Text size="sm" style={{ overflowWrap: 'anywhere', whiteSpace: 'pre-wrap' }} data-testid="cure">
      <b>{t('cure')}</b> {said}
      {said !== cure && PARTICULAR.has(names[0] ?? '') && (
        <Text span size="sm" c="dimmed" display="block">
          {cure}
        </Text>
      )}
    </Text>
  );
}
