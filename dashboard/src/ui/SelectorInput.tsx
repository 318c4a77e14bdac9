import { Text, TextInput, type TextInputProps } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { count } from './format';
import { useMatches } from './matches';
import { useProblem } from './problem';

interface SelectorInputProps extends Omit<TextInputProps, 'value' | 'onChange' | 'error'> {
  value: string;
  onChange: (selector: string) => void;
  /** Whether work is to be run there; its count is then of what one may run on. */
  toRun?: boolean;
}

/** A selector with the live number of servers that it matches, and where it is wrong. */
export function SelectorInput({ value, onChange, toRun = false, ...rest }: SelectorInputProps) {
  const { t, i18n } = useTranslation('common');
  const matches = useMatches(value, toRun);
  const tell = useProblem();
  const wrong = matches.error && tell(matches.error);
  const number = matches.servers === null ? '' : count(matches.servers, i18n.language);
  return (
    <TextInput
      label={t('selector.label')}
      placeholder={t('selector.placeholder')}
      {...rest}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
      spellCheck={false}
      autoCapitalize="off"
      autoComplete="off"
      data-selector-input
      styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
      error={wrong && [wrong.sentence, wrong.detail].filter(Boolean).join(' ')}
      rightSectionWidth="auto"
      rightSection={
        value.trim() !== '' && !matches.error ? (
          <Text size="xs" c="dimmed" px="sm" role="status" data-testid="matches">
            {matches.servers === null ? '…' : t('selector.matches', { count: matches.servers, number })}
          </Text>
        ) : undefined
      }
    />
  );
}
