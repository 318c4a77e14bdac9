import { Button, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { count } from '@/ui/format';
import classes from './LogPanel.module.css';
import { EXCERPT_BYTES, type SessionState, type Start, tailOf } from './session';

interface PlaceProps {
  start: Start;
  state: SessionState | null;
  /** Bytes that the log is known to have. */
  known: number;
  onMove: (start: Start) => void;
}

const part = (from: number): Start => ({ from, to: from + EXCERPT_BYTES, target: null });

/** Which part of a long log is on the screen, and the way to the others. Nothing when it is the whole. */
export function Place({ start, state, known, onMove }: PlaceProps) {
  const { t, i18n } = useTranslation('output');
  if (start.from === 0 && start.to === null) return null;
  const end = state?.offset ?? start.from;
  const number = (value: number) => count(value, i18n.language);
  const follows = start.to === null;
  return (
    <div className={classes.bar} data-testid="place">
      <Text size="xs">
        {t(follows ? 'place.tail' : 'place.part', { from: number(start.from), to: number(end), of: number(known) })}
      </Text>
      <Button
        size="compact-xs"
        variant="default"
        disabled={start.from === 0}
        onClick={() => onMove(part(Math.max(0, start.from - EXCERPT_BYTES)))}
      >
        {t('place.earlier')}
      </Button>
      <Button size="compact-xs" variant="default" disabled={follows} onClick={() => onMove(part(end))}>
        {t('place.later')}
      </Button>
      <Button size="compact-xs" variant="default" disabled={start.from === 0 && !follows} onClick={() => onMove(part(0))}>
        {t('place.first')}
      </Button>
      <Button size="compact-xs" variant="default" disabled={follows} onClick={() => onMove(tailOf(known))}>
        {t('place.end')}
      </Button>
    </div>
  );
}
