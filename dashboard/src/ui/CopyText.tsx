import { Code, CopyButton, Group, UnstyledButton } from '@mantine/core';
import { useTranslation } from 'react-i18next';

/** Something to take along: shown in full, copied by a button. */
export function CopyText({ text, label }: { text: string; label?: string }) {
  const { t } = useTranslation('common');
  return (
    <Group gap={6} wrap="nowrap" component="span" style={{ maxWidth: '100%' }}>
      <Code style={{ overflowWrap: 'anywhere', minWidth: 0 }}>{text}</Code>
      <CopyButton value={text}>
        {({ copied, copy }) => (
          <UnstyledButton
            onClick={copy}
            fz="xs"
            c="var(--mantine-color-anchor)"
            aria-label={label ?? t('copy')}
            style={{ flex: 'none', whiteSpace: 'nowrap' }}
          >
            {copied ? t('copied') : t('copy')}
          </UnstyledButton>
        )}
      </CopyButton>
    </Group>
  );
}
