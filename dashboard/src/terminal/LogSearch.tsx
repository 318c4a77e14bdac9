import { Button, Checkbox, Text, TextInput, UnstyledButton } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { request } from '@/api/client';
import type { components } from '@/api/schema';
import type { LogKind } from '@/streams/log';
import { count, percent } from '@/ui/format';
import { ErrorNote } from '@/ui/ErrorNote';
import classes from './LogPanel.module.css';

type Match = components['schemas']['LogMatch'];
type Matches = components['schemas']['LogMatches'];

interface Found {
  items: Match[];
  next: number;
  size: number;
  isEnd: boolean;
}

const NOTHING: Found = { items: [], next: 0, size: 0, isEnd: false };
// Of one list; more are found by going on behind the last one.
const ENOUGH = 200;

interface LogSearchProps {
  kind: LogKind;
  id: string;
  onJump: (offset: number, length: number) => void;
}

/** Looks through the whole log, where it is stored: also what no scrollback holds. */
export function LogSearch({ kind, id, onJump }: LogSearchProps) {
  const { t, i18n } = useTranslation('output');
  const [pattern, setPattern] = useState('');
  const [regex, setRegex] = useState(false);
  const [ignoreCase, setIgnoreCase] = useState(true);
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  const search = async (before: Found) => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    setBusy(true);
    setError(null);
    try {
      let now: Found = { ...before, items: [] };
      do {
        const answer: Matches = await request('GET', `/${kind}/${id}/log/search`, {
          query: { pattern, regex, ignore_case: ignoreCase, from_offset: now.next },
          signal: abort.signal,
        });
        now = {
          items: [...now.items, ...answer.items],
          next: answer.next_offset,
          size: answer.log_size_bytes,
          isEnd: answer.is_end,
        };
        setFound({ ...now, items: [...before.items.slice(-ENOUGH), ...now.items] });
      } while (!now.isEnd && now.items.length < ENOUGH);
    } catch (failure) {
      if (!abort.signal.aborted) setError(failure);
    } finally {
      if (running.current === abort) setBusy(false);
    }
  };

  const searched = found === null || found.size === 0 ? 1 : Math.min(1, found.next / found.size);
  return (
    <div>
      <form
        className={classes.bar}
        onSubmit={(event) => {
          event.preventDefault();
          setFound(null);
          if (pattern !== '') void search(NOTHING);
        }}
      >
        <TextInput
          size="xs"
          className={classes.grow}
          aria-label={t('search.pattern')}
          placeholder={t('search.pattern')}
          value={pattern}
          onChange={(event) => setPattern(event.currentTarget.value)}
          autoFocus
          spellCheck={false}
        />
        <Checkbox size="xs" label={t('search.regex')} checked={regex} onChange={(event) => setRegex(event.currentTarget.checked)} />
        <Checkbox
          size="xs"
          label={t('search.ignore_case')}
          checked={ignoreCase}
          onChange={(event) => setIgnoreCase(event.currentTarget.checked)}
        />
        <Button size="compact-sm" type="submit" loading={busy} disabled={pattern === ''}>
          {t('search.go')}
        </Button>
      </form>
      <ErrorNote error={error} />
      {found !== null && (
        <>
          <div className={classes.bar} role="status">
            <Text size="xs">
              {t('search.found', { count: found.items.length, number: count(found.items.length, i18n.language) })}
            </Text>
            <Text size="xs" c="dimmed">
              {t('search.searched', { part: percent(found.isEnd ? 1 : searched, i18n.language) })}
            </Text>
            {!found.isEnd && !busy && (
              <Button size="compact-xs" variant="default" onClick={() => void search(found)}>
                {t('search.more')}
              </Button>
            )}
          </div>
          <div className={classes.matches} tabIndex={found.items.length > 0 ? 0 : undefined}>
            {found.items.map((match) => (
              <UnstyledButton
                key={`${match.offset}:${match.stream}:${match.match_start}`}
                className={classes.match}
                onClick={() => onJump(match.offset, match.line.length)}
              >
                <span>{count(match.offset, i18n.language)}</span>
                <span>{match.stream}</span>
                <Line match={match} />
              </UnstyledButton>
            ))}
          </div>
        </>
      )}
    </div>
  );
}

/** The line with its match marked; places are counted in characters and not in UTF-16 units. */
function Line({ match }: { match: Match }) {
  const characters = [...match.line];
  const piece = (from: number, to?: number) => characters.slice(from, to).join('');
  return (
    <span className={classes.line}>
      {piece(Math.max(0, match.match_start - 60), match.match_start)}
      <mark>{piece(match.match_start, match.match_end)}</mark>
      {piece(match.match_end, match.match_end + 300)}
    </span>
  );
}
