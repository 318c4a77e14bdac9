import { Button, Stack } from '@mantine/core';
import type { ErrorComponentProps } from '@tanstack/react-router';
import { useTranslation } from 'react-i18next';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { ButtonLink } from '@/ui/Link';

/** A page broke: the rest of the dashboard goes on. */
export function Failure({ error, reset }: ErrorComponentProps) {
  const { t } = useTranslation('errors');
  return (
    <Stack p="md">
      <ErrorNote error={error} onRetry={reset} />
      <Button variant="default" onClick={() => location.reload()} w="fit-content">
        {t('reload')}
      </Button>
    </Stack>
  );
}

export function NotFound() {
  const { t } = useTranslation('errors');
  return (
    <EmptyState title={t('no_page.title')} text={t('no_page.text')}>
      <ButtonLink to="/" variant="default">
        {t('no_page.home')}
      </ButtonLink>
    </EmptyState>
  );
}
