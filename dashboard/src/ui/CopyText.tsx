import { Code, Group, UnstyledButton } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useCopy } from './useCopy';

/** Something to take along: shown in full, copied by a button. */
export function CopyText({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation('common');
  const { outcome, copy } = useCopy();
  return (
    <Group gap={6} wrap="nowrap" component="span" style={{ maxWidth: '100%' }}>
      <Code style={{ overflowWrap: 'anywhere', minWidth: 0 }}>{text}</Code>
      <UnstyledButton
        onClick={() => void copy(text)}
        fz="xs"
        c="var(--mantine-color-anchor)"
        aria-label={label ?? t('copy')}
        style={{ flex: 'none', whiteSpace: 'nowrap' }}
      >
        {t(outcome)}
      </UnstyledButton>
    </Group>
  );
}
