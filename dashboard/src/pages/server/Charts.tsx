import { SegmentedControl, SimpleGrid, Skeleton, Stack } from '@mantine/core';
import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { Metric, Series, Server } from '@/api/types';
import { Chart } from '@/ui/Chart';
import { ErrorNote } from '@/ui/ErrorNote';
import { duration, percent } from '@/ui/format';
import { useUrlState } from '@/ui/useUrlState';

const SPANS: Record<string, { seconds: number; step: number }> = {
  '1h': { seconds: 3600, step: 60 },
  '3h': { seconds: 10_800, step: 60 },
  '24h': { seconds: 86_400, step: 600 },
  '7d': { seconds: 604_800, step: 3600 },
  '30d': { seconds: 2_592_000, step: 14_400 },
};
const METRICS: Metric[] = ['latency', 'load_1m', 'memory', 'disk', 'up'];
const ASK_MS = 30_000;

/** What the agent measured, over a time that is chosen. */
export function Charts({ server }: { server: Server }) {
  const { t, i18n } = useTranslation('server');
  const [span, setSpan] = useUrlState('span', '1h');
  const { seconds, step } = SPANS[span] ?? { seconds: 3600, step: 60 };
  const series = useQuery({
    queryKey: ['series', server.id, span],
    refetchInterval: ASK_MS,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const to = Date.now();
      const from = to - seconds * 1000;
      const data = await request<Series>('GET', `/servers/${server.id}/series`, {
        query: { start: new Date(from).toISOString(), end: new Date(to).toISOString(), step_s: step },
        signal,
      });
      return { data, from, to };
    },
  });
  const format = (metric: Metric) => (value: number) => {
    if (metric === 'latency') return duration(value, i18n.language);
    if (metric === 'load_1m') return new Intl.NumberFormat(i18n.language, { maximumFractionDigits: 2 }).format(value);
    return percent(value, i18n.language);
  };
  return (
    <Stack>
      <SegmentedControl
        w="fit-content"
        size="xs"
        value={span}
        onChange={setSpan}
        aria-label={t('span_label')}
        data={Object.keys(SPANS).map((one) => ({ value: one, label: t(`span.${one}`) }))}
      />
      <ErrorNote error={series.error} onRetry={() => void series.refetch()} />
      {series.isPending && <Skeleton h={300} />}
      {series.data && (
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="xl">
          {METRICS.map((metric) => (
            <Chart
              key={metric}
              title={t(`metric.${metric}`)}
              samples={(series.data.data.metrics[metric] ?? []).map((point) => ({
                at: Date.parse(point.at ?? ''),
                min: point.min,
                mean: point.mean,
                max: point.max,
              }))}
              from={series.data.from}
              to={series.data.to}
              stepMs={series.data.data.step_s * 1000}
              least={metric === 'latency' ? 0.001 : metric === 'load_1m' ? 1 : 0.1}
              top={metric === 'latency' || metric === 'load_1m' ? undefined : 1}
              format={format(metric)}
            />
          ))}
        </SimpleGrid>
      )}
    </Stack>
  );
}
