import { Button, Group, Paper, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { bytes } from '@/ui/format';
import { StateBadge } from '@/ui/StateBadge';
import type { Targets } from './targets';

const NAMES_SHOWN = 4;
const GROUPS_SHOWN = 100;

interface GroupsProps {
  targets: Targets;
  chosen: string;
  /** With the number of one host of the group. */
  onChoose: (key: string, number: number) => void;
}

/** Hosts that said exactly the same, together: a thousand outputs are often three. */
export function Groups({ targets, chosen, onChoose }: GroupsProps) {
  const { t, i18n } = useTranslation('work');
  const groups = targets.groups();
  if (groups.length === 0) return <Text c="dimmed">{t('groups.none')}</Text>;
  const name = (number: number) => targets.get(number)?.server_name ?? '';
  return (
    <Stack gap="xs" data-testid="groups">
      {groups.slice(0, GROUPS_SHOWN).map((group) => (
        <Paper key={group.key} withBorder p="xs">
          <Group gap="xs" justify="space-between" wrap="nowrap" align="flex-start">
            <Stack gap={2} miw={0}>
              <Group gap="xs">
                <Text fw={600} size="sm">
                  {t('groups.hosts', { count: group.numbers.length })}
                </Text>
                <StateBadge state={group.status} plain />
                {group.exitCode !== null && <Text size="xs">{t('exit', { code: group.exitCode })}</Text>}
                <Text size="xs" c="dimmed">
                  {bytes(group.size, i18n.language)}
                </Text>
              </Group>
              <Text size="xs" c="dimmed" truncate>
                {group.numbers.slice(0, NAMES_SHOWN).map(name).join(', ')}
                {group.numbers.length > NAMES_SHOWN && '…'}
              </Text>
            </Stack>
            <Button
              size="compact-xs"
              variant={chosen === group.key ? 'filled' : 'default'}
              aria-pressed={chosen === group.key}
              onClick={() => onChoose(group.key, group.numbers[0]!)}
            >
              {t('groups.show')}
            </Button>
          </Group>
        </Paper>
      ))}
      {groups.length > GROUPS_SHOWN && <Text size="xs">{t('groups.more', { count: groups.length - GROUPS_SHOWN })}</Text>}
    </Stack>
  );
}
