import { Tooltip } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { absoluteTime, duration, relativeTime } from './format';
import { useNow } from './useNow';

interface TimeProps {
  at: string | null | undefined;
  /** Show the time of day and not the distance. */
  absolute?: boolean;
}

/** A moment: how long ago, and on hover or focus exactly when. Nothing for none. */
export function Time({ at, absolute = false }: TimeProps) {
  const { i18n } = useTranslation();
  const now = useNow();
  if (!at) return <span aria-hidden="true">–</span>;
  const moment = Date.parse(at);
  const exact = absoluteTime(moment, i18n.language);
  const distance = relativeTime(Math.min(moment, moment > now && moment - now < 10_000 ? now : moment), now, i18n.language);
  return (
    <Tooltip label={absolute ? distance : exact} events={{ hover: true, focus: true, touch: true }}>
      <time dateTime={at}>{absolute ? exact : distance}</time>
    </Tooltip>
  );
}

/** How long from one moment to another, or until now. */
export function Duration({ from, to }: { from: string | null | undefined; to?: string | null }) {
  const { i18n } = useTranslation();
  const now = useNow();
  if (!from) return <span aria-hidden="true">–</span>;
  const seconds = Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000);
  return <span>{duration(seconds, i18n.language)}</span>;
}
