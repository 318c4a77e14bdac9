import { ActionIcon, Button, Group, NativeSelect, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { Grant, Role } from '@/api/types';
import { SelectorInput } from '@/ui/SelectorInput';

const ROLES: Role[] = ['viewer', 'operator', 'admin'];

/** Roles on selectors, as rows that can be added and removed. */
export function GrantsInput({ grants, onChange }: { grants: readonly Grant[]; onChange: (grants: Grant[]) => void }) {
  const { t } = useTranslation(['users', 'shell', 'common']);
  const replace = (index: number, change: Partial<Grant>) =>
    onChange(grants.map((grant, at) => (at === index ? { ...grant, ...change } : grant)));
  return (
    <Stack gap="xs" role="group" aria-label={t('column.grants')}>
      <Text size="sm" fw={500}>
        {t('column.grants')}
      </Text>
      <Text size="xs" c="dimmed">
        {t('grants_help')}
      </Text>
      {grants.map((grant, index) => (
        <Group key={index} gap="xs" wrap="nowrap" align="flex-start">
          <NativeSelect
            aria-label={t('role')}
            value={grant.role}
            onChange={(event) => replace(index, { role: event.currentTarget.value as Role })}
            data={ROLES.map((role) => ({ value: role, label: t(`shell:role.${role}`) }))}
          />
          <SelectorInput
            label={undefined}
            aria-label={t('common:selector.label')}
            value={grant.selector}
            onChange={(selector) => replace(index, { selector })}
            style={{ flex: 1 }}
          />
          <ActionIcon
            variant="subtle"
            color="red"
            size="lg"
            aria-label={t('common:remove')}
            onClick={() => onChange(grants.filter((_, at) => at !== index))}
          >
            ×
          </ActionIcon>
        </Group>
      ))}
      <Button variant="default" size="compact-sm" w="fit-content" onClick={() => onChange([...grants, { role: 'viewer', selector: 'all' }])}>
        {t('add_grant')}
      </Button>
    </Stack>
  );
}
