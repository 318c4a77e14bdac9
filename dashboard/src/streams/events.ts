// What happens in the fleet, as it happens.

import { type Feed, ResumableSocket, type StreamState, socketUrl, type Surroundings, verdictOf } from './socket';

export interface FleetEvent {
  id: number | string;
  time: string;
  type: string;
  server_id: string;
  data: Record<string, unknown>;
}

export interface EventFilter {
  type?: string;
  server?: string;
}

export interface EventSink {
  event(event: FleetEvent): void;
  /** What lay between is not kept any more: whoever shows a state has to ask for it anew. */
  gap(): void;
}

class EventFeed implements Feed {
  private last: string | null = null;

  constructor(
    private readonly filter: EventFilter,
    private readonly sink: EventSink,
  ) {}

  url(): string {
    const query: Record<string, string> = { ...this.filter };
    if (this.last !== null) query.after = this.last;
    return socketUrl('/events', query);
  }

  text(message: unknown): void {
    const event = message as FleetEvent;
    this.ping(event);
    if (event.type === 'gap') {
      this.last = (message as { to?: string }).to ?? this.last;
      this.sink.gap();
    }
    // What has no dot in its type is no event: `start`, which says where the stream begins.
    else if (event.type.includes('.')) this.sink.event(event);
  }

  ping(message: unknown): void {
    const { id } = message as Partial<FleetEvent>;
    if (id !== undefined) this.last = String(id);
  }

  isOver(): boolean {
    return false;
  }

  verdict() {
    return verdictOf('/session');
  }
}

/** Follow the events from now on until the answer is closed. */
export function followEvents(
  filter: EventFilter,
  sink: EventSink,
  onState: (state: StreamState) => void,
  around?: Surroundings,
): ResumableSocket {
  return new ResumableSocket(new EventFeed(filter, sink), onState, around);
}
