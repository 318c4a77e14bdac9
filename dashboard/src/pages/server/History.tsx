import { Button, Skeleton, Stack, Text, Timeline } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { type PageOf, request } from '@/api/client';
import type { Transition } from '@/api/types';
import { useCauses } from '@/ui/causes';
import { EmptyState } from '@/ui/EmptyState';
import { ErrorNote } from '@/ui/ErrorNote';
import { StateBadge } from '@/ui/StateBadge';
import { Duration, Time } from '@/ui/Time';

const AT_ONCE = 50;

/** When the agent went and came back, and what each was concluded from. */
export function History({ server }: { server: string }) {
  const { t } = useTranslation(['server', 'common']);
  const causeOf = useCauses();
  const history = useInfiniteQuery({
    queryKey: ['servers', 'history', server],
    initialPageParam: '',
    queryFn: ({ pageParam, signal }) =>
      request<PageOf<Transition>>('GET', `/servers/${encodeURIComponent(server)}/history`, {
        query: { page_size: AT_ONCE, page_token: pageParam },
        signal,
      }),
    getNextPageParam: (page) => page.next_page_token ?? undefined,
  });
  if (history.isPending) return <Skeleton h={200} />;
  if (history.error) return <ErrorNote error={history.error} onRetry={() => void history.refetch()} />;
  const items = history.data.pages.flatMap((page) => page.items);
  if (items.length === 0) return <EmptyState title={t('no_history.title')} text={t('no_history.text')} />;
  return (
    <Stack>
      <Timeline bulletSize={14} lineWidth={2}>
        {items.map((one, index) => (
          <Timeline.Item key={`${one.at}-${index}`} title={<StateBadge state={one.after} plain />}>
            <Text size="sm">
              <Time at={one.at} absolute /> · {t('lasted')} <Duration from={one.at} to={items[index - 1]?.at ?? null} />
            </Text>
            {one.cause && <Text size="sm">{causeOf(one.cause)}</Text>}
            {one.message && (
              <Text size="sm" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
                {one.message}
              </Text>
            )}
            {one.attempts.length > 1 && (
              <Text size="xs" c="dimmed">
                {t('tries', { count: one.attempts.length })}
              </Text>
            )}
          </Timeline.Item>
        ))}
      </Timeline>
      {history.hasNextPage && (
        <Button variant="default" w="fit-content" loading={history.isFetchingNextPage} onClick={() => void history.fetchNextPage()}>
          {t('common:more')}
        </Button>
      )}
    </Stack>
  );
}
