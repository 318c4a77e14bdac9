// The log of a command or deployment, every byte once and in order, through every restart.

import { type LogFrame, logFrame } from './frames';
import { type Feed, ResumableSocket, type StreamState, socketUrl, type Surroundings, verdictOf } from './socket';

export type LogKind = 'commands' | 'deployments';

export interface Gap {
  from: number;
  to: number;
  reason: string;
}

/** Where a log goes. */
export interface LogSink {
  bytes(frame: LogFrame): void;
  gap(gap: Gap): void;
  /** The command or deployment in its final state; nothing follows. */
  end(offset: number, document: unknown): void;
}

interface Message {
  type: string;
  from: number;
  to: number;
  reason: string;
  offset: number;
  command?: unknown;
  deployment?: unknown;
}

export class LogFeed implements Feed {
  private over = false;

  constructor(
    private readonly kind: LogKind,
    private readonly id: string,
    /** Of the next byte. */
    public offset: number,
    private readonly sink: LogSink,
  ) {}

  url(): string {
    return socketUrl(`/${this.kind}/${encodeURIComponent(this.id)}/log/stream`, { offset: this.offset });
  }

  text(message: unknown): void {
    const told = message as Message;
    if (told.type === 'gap') this.gap(told);
    else if (told.type === 'final') this.end(told);
  }

  binary(message: ArrayBuffer): void {
    const frame = logFrame(message);
    if (frame.offset > this.offset) throw new Error(`the log jumps from ${this.offset} to ${frame.offset}`);
    const known = this.offset - frame.offset;
    if (known >= frame.data.length) return;
    const news = known > 0 ? { ...frame, offset: this.offset, data: frame.data.subarray(known) } : frame;
    this.offset += news.data.length;
    this.sink.bytes(news);
  }

  isOver(): boolean {
    return this.over;
  }

  verdict() {
    return verdictOf(`/${this.kind}/${encodeURIComponent(this.id)}`);
  }

  private gap(told: Message): void {
    if (told.to <= this.offset) return;
    this.sink.gap({ from: this.offset, to: told.to, reason: told.reason });
    this.offset = told.to;
  }

  private end(told: Message): void {
    this.over = true;
    this.sink.end(told.offset, told.command ?? told.deployment);
  }
}

/** Follow a log from `offset` until its end, or until the answer is closed. */
export function followLog(
  kind: LogKind,
  id: string,
  offset: number,
  sink: LogSink,
  onState: (state: StreamState) => void,
  around?: Surroundings,
): ResumableSocket {
  return new ResumableSocket(new LogFeed(kind, id, offset, sink), onState, around);
}
