import { Button, Group } from '@mantine/core';
import { useTranslation } from 'react-i18next';

interface FormButtonsProps {
  /** What sending it does; else `Save`. */
  action?: string;
  busy: boolean;
  onClose: () => void;
}

/** The end of a form in a dialog: leave it, or send it. */
export function FormButtons({ action, busy, onClose }: FormButtonsProps) {
  const { t } = useTranslation('common');
  return (
    <Group justify="flex-end">
      <Button variant="default" onClick={onClose}>
        {t('cancel')}
      </Button>
      <Button type="submit" loading={busy}>
        {action ?? t('save')}
      </Button>
    </Group>
  );
}
