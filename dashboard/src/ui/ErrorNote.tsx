import { Alert, Button, Group, List, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { titleKey, useProblem } from './problem';

/** A failure as a person reads it: what, which fields, what to quote when asking for help. */
export function ErrorNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const { t } = useTranslation('errors');
  const tell = useProblem();
  if (!error) return null;
  const { problem, reason, sentence, detail } = tell(error);
  const fields = Object.entries(problem?.fields ?? {}).filter(([, said]) => said !== problem?.detail);
  const title = titleKey(problem?.status, reason);
  return (
    <Alert color="red" variant="light" role="alert" title={title === '' ? sentence : t(`title.${title}`)}>
      {title !== '' && <Text size="sm">{sentence}</Text>}
      {detail !== '' && (
        <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }} data-testid="detail">
          {detail}
        </Text>
      )}
      {fields.length > 0 && (
        <List size="sm" mt={4}>
          {fields.map(([name, said]) => (
            <List.Item key={name}>
              <b>{name}</b>: {said}
            </List.Item>
          ))}
        </List>
      )}
      <Group mt="xs" gap="sm" align="center">
        {onRetry && (
          <Button size="compact-sm" variant="default" onClick={onRetry}>
            {t('retry')}
          </Button>
        )}
        <Text size="xs" c="dimmed">
          {reason}
          {problem?.requestId ? ` · ${t('request')} ${problem.requestId}` : ''}
        </Text>
      </Group>
    </Alert>
  );
}
