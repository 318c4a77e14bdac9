/** Progress events of a play, as rows of a table. */

export interface PlayEvent {
  seq: number;
  event: Record<string, unknown>;
}

export interface TaskRow {
  key: string;
  play: string;
  task: string;
  role: string;
  item: string;
  status: string;
  isIgnored: boolean;
  durationS: number | null;
  message: string;
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

/** A row for each result, and one for the task that is under way. */
export function rowsOf(events: readonly PlayEvent[]): TaskRow[] {
  const rows: TaskRow[] = [];
  let play = '';
  let started: TaskRow | null = null;
  for (const { seq, event } of events) {
    if (event.type === 'play_started') play = text(event.play);
    else if (event.type === 'task_started') started = row(seq, { ...event, status: 'running' }, play, started);
    else if (event.type === 'task_result') {
      rows.push(row(seq, event, play, started));
      if (text(event.item) === '') started = null;
    } else if (event.type === 'recap') started = null;
  }
  return started === null ? rows : [...rows, started];
}

function row(seq: number, event: Record<string, unknown>, play: string, started: TaskRow | null): TaskRow {
  const isSame = started !== null && started.task === text(event.task);
  return {
    key: String(seq),
    play: text(event.play) || play,
    task: text(event.task),
    role: text(event.role) || (isSame ? started.role : ''),
    item: typeof event.item === 'string' ? event.item : event.item === undefined || event.item === null ? '' : JSON.stringify(event.item),
    status: text(event.status),
    isIgnored: event.ignored === true,
    durationS: typeof event.duration_s === 'number' ? event.duration_s : null,
    message: text(event.message),
  };
}

/** The number behind the last event. */
export function lastSeq(events: readonly PlayEvent[]): number {
  return events.at(-1)?.seq ?? 0;
}
