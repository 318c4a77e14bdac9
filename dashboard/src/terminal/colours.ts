// What a stream's colour sequences (SGR) have come to, so that two streams can share one terminal.

const FLAGS_OFF: Record<number, number[]> = {
  22: [1, 2],
  23: [3],
  24: [4, 21],
  25: [5, 6],
  27: [7],
  28: [8],
  29: [9],
  55: [53],
};
const FLAGS_ON = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 21, 53]);

/** The colours and the like that a stream writes with now. */
export class Colours {
  private readonly flags = new Map<number, string>();
  private front: string | null = null;
  private back: string | null = null;

  /** Whether the stream has left the colour of its text to the terminal. */
  get isPlain(): boolean {
    return this.front === null;
  }

  /** Take in the parameters of one sequence. */
  apply(parameters: string): void {
    const parts = parameters.split(';');
    for (let at = 0; at < parts.length; at += 1) {
      const part = parts[at]!;
      const number = part === '' ? 0 : Number.parseInt(part, 10);
      if ((number === 38 || number === 48) && !part.includes(':')) {
        const long = parts.slice(at, at + (parts[at + 1] === '2' ? 5 : 3));
        this.colour(number, long.join(';'));
        at += long.length - 1;
      } else this.one(number, part);
    }
  }

  /** The parameters that bring a terminal from nothing to this. */
  text(): string {
    return ['0', ...this.flags.values(), this.front, this.back].filter((one) => one !== null).join(';');
  }

  private one(number: number, part: string): void {
    if (number === 0) this.reset();
    else if (FLAGS_ON.has(number)) this.flags.set(number, part);
    else if (number in FLAGS_OFF) for (const off of FLAGS_OFF[number]!) this.flags.delete(off);
    else if (isBetween(number, 30, 38) || isBetween(number, 90, 97)) this.front = part;
    else if (isBetween(number, 40, 48) || isBetween(number, 100, 107)) this.back = part;
    else if (number === 39) this.front = null;
    else if (number === 49) this.back = null;
  }

  private colour(number: number, text: string): void {
    if (number === 38) this.front = text;
    else this.back = text;
  }

  private reset(): void {
    this.flags.clear();
    this.front = this.back = null;
  }
}

function isBetween(number: number, least: number, most: number): boolean {
  return number >= least && number <= most;
}
