import { Button, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { StreamState } from '@/streams/socket';

interface StreamLineProps {
  state: StreamState;
  stopped?: boolean;
  onRetry: () => void;
}

const SIGN: Record<StreamState['kind'], string> = { connecting: '○', live: '●', waiting: '◐', ended: '–', failed: '▲' };

/** How a stream fares, in words: live, lost and why, at its end. */
export function StreamLine({ state, stopped = false, onRetry }: StreamLineProps) {
  const { t } = useTranslation('output');
  const broken = state.kind === 'waiting' || state.kind === 'failed';
  return (
    <>
      <Text size="xs" role="status" data-testid="stream-state" data-kind={state.kind}>
        <span aria-hidden="true">{SIGN[state.kind]}</span> {stopped ? t('stream.stopped') : t(`stream.${state.kind}`)}
        {broken && ` ${causeOf(state, t)}`}
      </Text>
      {broken && (
        <Button size="compact-xs" variant="default" onClick={onRetry}>
          {t('stream.now')}
        </Button>
      )}
    </>
  );
}

type Translate = (key: string, options?: Record<string, unknown>) => string;

function causeOf(state: Extract<StreamState, { kind: 'waiting' | 'failed' }>, t: Translate): string {
  if (state.kind === 'failed' && state.status !== 0) {
    return t(`stream.status.${state.status}`, { defaultValue: state.detail });
  }
  const said = t(`stream.code.${state.code}`, { defaultValue: '' });
  return [said, state.detail].filter((one) => one !== '').join(' ');
}
