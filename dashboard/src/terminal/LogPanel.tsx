import { Button, Menu, SegmentedControl, Switch, Text } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { addressOf } from '@/api/client';
import type { LogKind } from '@/streams/log';
import { bytes } from '@/ui/format';
import { remember, remembered } from '@/ui/remember';
import { useCopy } from '@/ui/useCopy';
import classes from './LogPanel.module.css';
import { Place } from './Place';
import { LogSearch } from './LogSearch';
import { around, type Only, type Start, tailOf } from './session';
import { StreamLine } from './StreamLine';
import { useLog } from './useLog';

export interface LogPanelProps {
  kind: LogKind;
  id: string;
  /** Bytes that the log had when it was opened. */
  size: number;
  label: string;
  /** A CSS length. */
  height?: string;
  /** With the command or deployment in its final state. */
  onEnd?: (document: unknown) => void;
}

const ONLY: readonly Only[] = ['all', 'stdout', 'stderr'];
const APART = 'myx-stderr-apart';

/** A log as a terminal shows it: live, searchable, to be had as a file. Give it a `key` of the log's id. */
export function LogPanel({ kind, id, size, label, height, onEnd }: LogPanelProps) {
  const { t, i18n } = useTranslation(['output', 'common']);
  const [start, setStart] = useState<Start>(() => tailOf(size));
  const [only, setOnly] = useState<Only>('all');
  const [apart, setApart] = useState(() => remembered(APART) !== 'no');
  const [searching, setSearching] = useState(false);
  const { outcome, copy } = useCopy();
  const log = useLog({ kind, id, start, only, apart, label });
  const { state } = log;
  const ended = useRef(onEnd);
  ended.current = onEnd;
  const document = state?.document ?? null;
  useEffect(() => {
    if (document !== null) ended.current?.(document);
  }, [document]);
  const chooseApart = (chosen: boolean) => {
    setApart(chosen);
    remember(APART, chosen ? 'yes' : 'no');
  };
  const known = Math.max(size, state?.offset ?? 0);
  return (
    <section className={classes.panel} aria-label={label}>
      <div className={classes.bar}>
        <SegmentedControl
          size="xs"
          value={only}
          onChange={(value) => setOnly(value as Only)}
          data={ONLY.map((value) => ({ value, label: t(`only.${value}`) }))}
          aria-label={t('only.label')}
        />
        <Switch
          size="xs"
          label={t('apart')}
          checked={apart}
          onChange={(event) => chooseApart(event.currentTarget.checked)}
        />
        <span className={classes.grow} />
        <Button size="compact-sm" variant="default" aria-expanded={searching} onClick={() => setSearching(!searching)}>
          {t('search.open')}
        </Button>
        <Button size="compact-sm" variant="default" onClick={() => void copy(log.text())}>
          {t(`common:${outcome}`)}
        </Button>
        <Menu position="bottom-end">
          <Menu.Target>
            <Button size="compact-sm" variant="default">
              {t('download.open')}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {ONLY.map((stream) => (
              <Menu.Item
                key={stream}
                component="a"
                download
                href={addressOf(`/${kind}/${id}/log`, { stream: stream === 'all' ? undefined : stream })}
              >
                {t(`download.${stream}`)}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      </div>
      {searching && <LogSearch kind={kind} id={id} onJump={(offset, length) => setStart(around(offset, length))} />}
      <div className={classes.screen} style={height ? { height } : undefined}>
        <div
          ref={log.host}
          className={classes.terminal}
          data-testid="terminal"
          data-stream={state?.stream.kind ?? 'connecting'}
          data-offset={state?.offset ?? start.from}
        />
        {!log.following && (
          <Button className={classes.follow} size="compact-sm" onClick={log.toEnd}>
            {t('follow')}
          </Button>
        )}
      </div>
      <Place start={start} state={state} known={known} onMove={setStart} />
      <div className={classes.bar}>
        <StreamLine state={state?.stream ?? { kind: 'connecting' }} stopped={state?.stopped ?? false} onRetry={log.hurry} />
        <span className={classes.grow} />
        <Text size="xs" c="dimmed">
          {t('received', { size: bytes((state?.offset ?? start.from) - start.from, i18n.language) })}
        </Text>
      </div>
    </section>
  );
}
