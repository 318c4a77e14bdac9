import { Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Step } from '@/api/types';
import { StepList } from '@/ui/StepList';

/** What is done one after the other, under its heading; nothing before the steps are known. */
export function Steps({ steps }: { steps: readonly Step[] }) {
  const { t } = useTranslation('states');
  if (steps.length === 0) return null;
  return (
    <section>
      <Title order={2} size="h5" mb="xs">
        {t('steps')}
      </Title>
      <StepList steps={steps} />
    </section>
  );
}
