// One WebSocket that is opened again until its source says that all was told.

import { ApiError, request } from '@/api/client';
import { connection } from '@/api/connection';
import type { PathOf } from '@/api/paths';
import { delayMs } from './backoff';

/** `detail` is the reason of the last close, in the gateway's words; may be empty. */
export type StreamState =
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'waiting'; code: number; detail: string; attempt: number }
  | { kind: 'ended' }
  | { kind: 'failed'; code: number; status: number; detail: string };

/** What the server says about the thing that is followed, when its socket cannot be opened. */
export interface Verdict {
  status: number;
  detail: string;
}

/** One kind of stream: where it is, and what its messages do. Exceptions of `text` and `binary` break the connection. */
export interface Feed {
  /** With the place to resume at; asked for before each try. */
  url(): string;
  /** The first message after the upgrade. */
  greeting?(): string | null;
  text(message: unknown): void;
  /** A sign of life, which may say how far the server has looked. */
  ping?(message: unknown): void;
  binary?(message: ArrayBuffer): void;
  /** Whether the last message was the end. */
  isOver(): boolean;
  /** A browser does not say why an upgrade was refused: this asks. Null: nothing stands against another try. */
  verdict(): Promise<Verdict | null>;
}

/** What a socket needs of its surroundings; tests bring their own. */
export interface Surroundings {
  open(url: string): WebSocket;
  after(ms: number, act: () => void): () => void;
  random(): number;
}

// The gateway pings after 15 s of silence.
const SILENCE_MS = 45_000;
const NORMAL = 1000;
export const POLICY = 1008;
const FAULT = 1011;
// Of a page that slept: it is no fault of the stream.
const UNREAD = 'nothing was read';
const FAULTS_BORNE = 5;
// What another try cannot mend, as the thing itself answers.
const HOPELESS = new Set([400, 401, 403, 404, 410, 416]);

const browser: Surroundings = {
  open: (url) => new WebSocket(url),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** Begins at once; `close` ends it for good. `onState` is called at each change, never after `close`. */
export class ResumableSocket {
  private socket: WebSocket | null = null;
  private closed = false;
  private attempt = 0;
  private faults = 0;
  private heard = false;
  private isWaiting = false;
  private readonly stopListening: () => void;
  private stopTimer: () => void = () => undefined;
  private stopWatch: () => void = () => undefined;

  constructor(
    private readonly feed: Feed,
    private readonly onState: (state: StreamState) => void,
    private readonly around: Surroundings = browser,
  ) {
    // The gateway answers again: no need to wait for the end of a pause.
    this.stopListening = connection.subscribe((state) => {
      if (state === 'ok' && this.isWaiting) this.hurry();
    });
    this.connect();
  }

  /** End it and free all that it holds. */
  close(): void {
    this.closed = true;
    this.stopListening();
    this.stopTimer();
    this.stopWatch();
    this.drop(NORMAL);
  }

  /** Connect now instead of at the end of the wait. */
  hurry(): void {
    if (this.closed || this.socket !== null) return;
    this.faults = 0;
    this.stopTimer();
    this.connect();
  }

  private connect(): void {
    this.tell({ kind: 'connecting' });
    this.heard = false;
    let socket: WebSocket;
    try {
      socket = this.around.open(this.feed.url());
    } catch (error) {
      this.tell({ kind: 'failed', code: 0, status: 0, detail: String(error) });
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.socket = socket;
    socket.onopen = () => this.opened(socket);
    socket.onmessage = (event) => this.take(socket, event.data);
    socket.onclose = (event) => this.gone(socket, event.code, event.reason);
    this.watch();
  }

  private opened(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.heard = true;
    const greeting = this.feed.greeting?.() ?? null;
    if (greeting !== null) socket.send(greeting);
    this.tell({ kind: 'live' });
    this.watch();
  }

  private take(socket: WebSocket, data: unknown): void {
    if (socket !== this.socket) return;
    this.watch();
    try {
      if (typeof data === 'string') this.text(data);
      else this.feed.binary?.(data as ArrayBuffer);
    } catch (error) {
      this.drop(NORMAL);
      this.lost(FAULT, error instanceof Error ? error.message : String(error));
      return;
    }
    // Progress, and not the mere upgrade, shows that the way is good.
    this.attempt = 0;
  }

  private text(data: string): void {
    const message = JSON.parse(data) as { type?: string };
    if (message.type === 'ping') this.feed.ping?.(message);
    else this.feed.text(message);
  }

  private gone(socket: WebSocket, code: number, reason: string): void {
    if (socket !== this.socket) return;
    this.socket = null;
    this.stopWatch();
    if (this.feed.isOver()) this.tell({ kind: 'ended' });
    else if (this.heard && !isShut(code, reason)) this.lost(code, reason);
    else void this.ask(code, reason);
  }

  private async ask(code: number, reason: string): Promise<void> {
    let verdict: Verdict | null = null;
    try {
      verdict = await this.feed.verdict();
    } catch {
      // Nobody answers: the same as a broken connection.
    }
    if (this.closed || this.socket !== null) return;
    if (verdict !== null && HOPELESS.has(verdict.status)) this.fail(code, verdict.status, verdict.detail);
    else this.lost(code, verdict?.detail ?? reason);
  }

  private lost(code: number, detail: string): void {
    this.faults = code === FAULT || isShut(code, detail) ? this.faults + 1 : 0;
    if (this.faults > FAULTS_BORNE) {
      this.fail(code, 0, detail);
      return;
    }
    const wait = delayMs(this.attempt, this.around.random);
    this.attempt += 1;
    this.tell({ kind: 'waiting', code, detail, attempt: this.attempt });
    this.stopTimer();
    this.stopTimer = this.around.after(wait, () => this.connect());
  }

  private fail(code: number, status: number, detail: string): void {
    this.tell({ kind: 'failed', code, status, detail });
  }

  private watch(): void {
    this.stopWatch();
    this.stopWatch = this.around.after(SILENCE_MS, () => {
      this.drop(NORMAL);
      this.lost(0, '');
    });
  }

  private drop(code: number): void {
    const socket = this.socket;
    this.socket = null;
    this.stopWatch();
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  private tell(state: StreamState): void {
    this.isWaiting = state.kind === 'waiting';
    if (!this.closed) this.onState(state);
  }
}

/** Closed because something does not allow it any more. */
function isShut(code: number, reason: string): boolean {
  return code === POLICY && !reason.startsWith(UNREAD);
}

/** The address of a WebSocket below /api/v1 on the host that the page came from. */
export function socketUrl(path: string, query: Record<string, string | number | boolean> = {}): string {
  const url = new URL(`/api/v1${path}`, window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
  return url.href;
}

/** A `verdict` by a plain GET of what is followed. */
export async function verdictOf(path: PathOf<'GET'>): Promise<Verdict | null> {
  try {
    await request('GET', path);
    return null;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status === 0) return null;
    return { status: error.status, detail: error.problem.detail };
  }
}
