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
    if (event.id !== undefined) this.last = String(event.id);
    if (event.type === 'gap') this.sink.gap();
    else this.sink.event(event);
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
