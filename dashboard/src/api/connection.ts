/**
 * Whether the gateway can be reached. Lost once, it is asked until it answers; then everybody who listens is told, so
 * that pages read anew and streams come back.
 */
export type ConnectionState = 'ok' | 'lost';

type Listener = (state: ConnectionState) => void;

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;

export class Connection {
  state: ConnectionState = 'ok';
  since = Date.now();
  private readonly listeners = new Set<Listener>();
  private readonly probe: () => Promise<boolean>;
  private asking = false;

  constructor(probe: () => Promise<boolean>) {
    this.probe = probe;
  }

  subscribe = (listener: Listener): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = (): ConnectionState => this.state;

  /** A request did not get through. */
  lost(): void {
    this.become('lost');
    void this.ask();
  }

  /** Something answered, though perhaps not the gateway itself: it is asked before anything is said. */
  doubt(): void {
    void this.ask();
  }

  /** The gateway answered. */
  seen(): void {
    this.become('ok');
  }

  private become(state: ConnectionState): void {
    if (state === this.state) return;
    this.state = state;
    this.since = Date.now();
    for (const listener of this.listeners) listener(state);
  }

  private async ask(): Promise<void> {
    if (this.asking) return;
    this.asking = true;
    try {
      for (let wait = FIRST_WAIT_MS; !(await this.probe()); wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
        this.become('lost');
        await new Promise((resolve) => setTimeout(resolve, wait));
        if (this.state === 'ok') return;
      }
      this.become('ok');
    } finally {
      this.asking = false;
    }
  }
}

async function isReady(): Promise<boolean> {
  try {
    return (await fetch('/readyz', { cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

export const connection = new Connection(isReady);
