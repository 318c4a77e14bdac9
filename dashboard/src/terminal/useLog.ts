import { useComputedColorScheme } from '@mantine/core';
import type { IMarker } from '@xterm/xterm';
import { type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { LogKind } from '@/streams/log';
import { bytes } from '@/ui/format';
import { LogSession, type Only, type SessionState, type Start } from './session';
import { TerminalView } from './view';

interface LogOptions {
  kind: LogKind;
  id: string;
  start: Start;
  only: Only;
  apart: boolean;
  label: string;
}

export interface Log {
  host: RefObject<HTMLDivElement | null>;
  state: SessionState | null;
  following: boolean;
  toEnd: () => void;
  hurry: () => void;
  text: () => string;
}

/** A terminal in `host` with a log in it; another start, stream or colouring begins anew. */
export function useLog({ kind, id, start, only, apart, label }: LogOptions): Log {
  const { t, i18n } = useTranslation('output');
  const theme = useComputedColorScheme('light');
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<TerminalView | null>(null);
  const session = useRef<LogSession<IMarker> | null>(null);
  const [state, setState] = useState<SessionState | null>(null);
  const [following, setFollowing] = useState(true);
  const texts = useRef({ t, language: i18n.language, theme, label });
  texts.current = { t, language: i18n.language, theme, label };

  useEffect(() => {
    if (host.current === null) return;
    const made = new TerminalView(host.current, texts.current.label, texts.current.theme, setFollowing);
    view.current = made;
    return () => {
      view.current = null;
      made.dispose();
    };
  }, []);

  useEffect(() => view.current?.dress(theme), [theme]);

  useEffect(() => {
    const screen = view.current;
    if (screen === null) return;
    screen.clear();
    setState(null);
    const made = new LogSession<IMarker>({
      kind,
      id,
      start,
      only,
      apart,
      view: screen,
      texts: {
        skipped: (size) => texts.current.t('skipped', { size: bytes(size, texts.current.language) }),
        gap: (gap) =>
          texts.current.t('gap', {
            size: bytes(gap.to - gap.from, texts.current.language),
            reason: texts.current.t(`gap_reason.${gap.reason}`, { defaultValue: gap.reason }),
          }),
      },
      onChange: setState,
    });
    session.current = made;
    return () => {
      session.current = null;
      made.close();
    };
  }, [kind, id, start, only, apart]);

  return {
    host,
    state,
    following,
    toEnd: useCallback(() => view.current?.toEnd(), []),
    hurry: useCallback(() => session.current?.hurry(), []),
    text: useCallback(() => view.current?.text() ?? '', []),
  };
}
