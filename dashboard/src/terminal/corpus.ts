// Output that would do something in a careless terminal, and output that must pass. tests/browser plays the same file.

import corpus from './corpus.json';

export interface Harmful {
  name: string;
  /** One character for each byte. */
  bytes: string;
  /** What stays of it; nothing unless told. */
  left?: string;
}

interface Stored extends Harmful {
  times?: number;
}

export const HARMFUL: Harmful[] = (corpus.harmful as Stored[]).map(({ times = 1, bytes, ...rest }) => ({
  ...rest,
  bytes: bytes.repeat(times),
}));

export const HARMLESS: { name: string; text: string }[] = corpus.harmless;
