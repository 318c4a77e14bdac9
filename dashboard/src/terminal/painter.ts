// Two streams, harmless, for one terminal: each keeps its own colours and the characters that a chunk cut in two.

import { STDERR } from '@/streams/frames';

import { Colours } from './colours';
import { Filter } from './filter';

const encoder = new TextEncoder();
const decoder = new TextDecoder('latin1');

// An orange of the palette of 256, which few programs use; the terminal sees to the contrast.
const APART = '38;5;209';

class Stream {
  readonly colours = new Colours();
  readonly filter: Filter;

  constructor(private readonly ground: string | null) {
    this.filter = new Filter((parameters) => this.paint(decoder.decode(parameters)));
  }

  /** What brings the terminal to the colours of this stream, whatever came before. */
  entrance(): Uint8Array {
    return encoder.encode(`\x1b[${this.colours.text()}${this.base()}m`);
  }

  private paint(parameters: string): Uint8Array {
    this.colours.apply(parameters);
    return encoder.encode(`\x1b[${parameters === '' ? '0' : parameters}${this.base()}m`);
  }

  private base(): string {
    return this.ground !== null && this.colours.isPlain ? `;${this.ground}` : '';
  }
}

export class Painter {
  private readonly streams: Map<number, Stream>;
  private current = 0;

  /** `apart`: what stderr leaves to the terminal gets a colour of its own. */
  constructor(apart: boolean) {
    this.streams = new Map([
      [1, new Stream(null)],
      [2, new Stream(apart ? APART : null)],
    ]);
  }

  /** Something else was written meanwhile. */
  forget(): void {
    this.current = 0;
  }

  /** The bytes for the terminal. */
  take(stream: number, data: Uint8Array): Uint8Array[] {
    const from = this.streams.get(stream === STDERR ? 2 : 1)!;
    // Before the chunk, whose own colours come after it.
    const entrance = this.current === stream ? null : from.entrance();
    const safe = from.filter.take(data).slice();
    if (safe.length === 0) return [];
    this.current = stream;
    return entrance === null ? [safe] : [entrance, safe];
  }
}
