// Makes the output of a stranger's program harmless before a terminal sees it.
//
// What passes is named here, and all else is left out: text, colours, movements of the cursor, erasing of what is on
// the screen. So no title is set, no clipboard written (OSC 52), no link made (OSC 8), no report asked for (DSR, DA,
// DECRQSS, ENQ), no screen switched or resized, no scrollback erased, no font of line-drawing signs left behind, and
// nothing repeated or scrolled a billion times.

import { isZeroWidth, turnsText } from './width';

const enum State {
  Text,
  Escape,
  // ESC and an intermediate byte: what follows is no text.
  Charset,
  Sequence,
  // OSC, DCS, APC, PM, SOS up to its end.
  Words,
  WordsEscape,
}

const BS = 0x08;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const CAN = 0x18;
const SUB = 0x1a;
const ESC = 0x1b;
const SPACE = 0x20;
const DEL = 0x7f;
const BEL = 0x07;

// Parameters of a sequence; those of a colour by RGB have about 20.
const SEQUENCE_MAX = 96;
// A control string that is longer, or goes over a line's end, was none.
const WORDS_MAX = 65_536;
// Marks upon one character; text of people has up to four.
const MARKS_MAX = 8;
const PARAMETER_MAX = 9999;

const code = (text: string) => [...text].map((one) => one.charCodeAt(0));
// Cursor up, down, right, left, next line, line before, column, position, row; insert, delete and erase characters; save and restore.
const MOVES = new Set(code('ABCDEFG`HfdaeP@Xsu'));
const ERASES = new Set(code('JK'));
const COLOUR = 'm'.charCodeAt(0);
// Save, restore, index, next line, reverse index.
const SHORT_ESCAPES = new Set(code('78DEM'));
const STRING_STARTS = new Set(code(']P_^X'));
const BRACKET = '['.charCodeAt(0);
const BACKSLASH = 0x5c;
const REPLACEMENT = [0xef, 0xbf, 0xbd] as const;

/** Sees each colour sequence: its parameters, as bytes between `ESC [` and `m`. The answer is put in its place. */
export type OnColour = (parameters: Uint8Array) => Uint8Array | null;

/** The filter of one stream; what a chunk cuts in two is kept for the next one. */
export class Filter {
  private state = State.Text;
  private readonly sequence = new Uint8Array(SEQUENCE_MAX);
  private length = 0;
  private words = 0;
  private readonly character: number[] = [];
  private expected = 0;
  private marks = 0;
  private out = new Uint8Array(1024);
  private size = 0;

  constructor(private readonly onColour: OnColour = () => null) {}

  /** The harmless part of `data`. The answer is valid until the next call. */
  take(data: Uint8Array): Uint8Array {
    // A byte becomes at most three, but for colours, which see to their room.
    this.size = 0;
    this.room(data.length * 3 + 8);
    for (let at = 0; at < data.length; at += 1) {
      const byte = data[at]!;
      if (this.state === State.Text && byte >= SPACE && byte < DEL && this.expected === 0) {
        this.marks = 0;
        this.out[this.size++] = byte;
        continue;
      }
      this.step(byte, data.length - at);
    }
    return this.out.subarray(0, this.size);
  }

  /** Whether the stream stands between two characters and not inside of a sequence. */
  get isBetween(): boolean {
    return this.state === State.Text && this.expected === 0;
  }

  private step(byte: number, left: number): void {
    switch (this.state) {
      case State.Text:
        this.text(byte);
        break;
      case State.Escape:
        this.escape(byte);
        break;
      case State.Charset:
        // Intermediates go on, one final byte ends it.
        if (byte < SPACE || byte >= 0x30) this.leave(byte);
        break;
      case State.Sequence:
        this.parameter(byte, left);
        break;
      case State.Words:
      case State.WordsEscape:
        this.word(byte);
        break;
    }
  }

  private text(byte: number): void {
    if (this.expected > 0) {
      if ((byte & 0xc0) === 0x80) {
        this.character.push(byte);
        if (this.character.length === this.expected) this.ended();
        return;
      }
      this.bad();
    }
    if (byte < SPACE || byte === DEL) this.control(byte);
    else if (byte < 0x80) this.put(byte);
    else this.begin(byte);
  }

  private begin(byte: number): void {
    const expected = byte >= 0xc2 && byte < 0xe0 ? 2 : byte >= 0xe0 && byte < 0xf0 ? 3 : byte >= 0xf0 && byte < 0xf5 ? 4 : 0;
    if (expected === 0) {
      this.replace();
      return;
    }
    this.expected = expected;
    this.character.length = 0;
    this.character.push(byte);
  }

  private ended(): void {
    const [first, second, third, fourth] = this.character as [number, number, number, number];
    const length = this.expected;
    this.expected = 0;
    let point = ((first & 0x1f) << 6) | (second & 0x3f);
    if (length === 3) point = ((first & 0x0f) << 12) | ((second & 0x3f) << 6) | (third & 0x3f);
    if (length === 4)
      point = ((first & 0x07) << 18) | ((second & 0x3f) << 12) | ((third & 0x3f) << 6) | (fourth & 0x3f);
    const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
    if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) this.replace();
    else this.point(point);
  }

  private point(point: number): void {
    // C1 controls: CSI, OSC and the like in one character.
    if (point < 0xa0) return;
    if (turnsText(point)) {
      this.replace();
      return;
    }
    if (isZeroWidth(point)) {
      this.marks += 1;
      if (this.marks > MARKS_MAX) return;
    } else this.marks = 0;
    for (const byte of this.character) this.out[this.size++] = byte;
  }

  private bad(): void {
    this.expected = 0;
    this.replace();
  }

  private replace(): void {
    this.marks = 0;
    for (const byte of REPLACEMENT) this.out[this.size++] = byte;
  }

  private put(byte: number): void {
    this.marks = 0;
    this.out[this.size++] = byte;
  }

  private control(byte: number): void {
    if (byte === ESC) this.state = State.Escape;
    else if (byte === LF || byte === 0x0b || byte === 0x0c) this.put(LF);
    else if (byte === CR || byte === TAB || byte === BS) this.put(byte);
  }

  private escape(byte: number): void {
    if (byte === BRACKET) {
      this.state = State.Sequence;
      this.length = 0;
    } else if (STRING_STARTS.has(byte)) {
      this.state = State.Words;
      this.words = 0;
    } else if (byte >= SPACE && byte < 0x30) this.state = State.Charset;
    else {
      if (SHORT_ESCAPES.has(byte)) {
        this.put(ESC);
        this.put(byte);
      }
      this.leave(byte);
    }
  }

  /** Back to text; a control byte inside of a sequence ends it and means what it says. */
  private leave(byte: number): void {
    this.state = State.Text;
    if (byte < SPACE && byte !== CAN && byte !== SUB) this.control(byte);
    else if (byte >= 0x80) this.text(byte);
  }

  private parameter(byte: number, left: number): void {
    if (byte >= SPACE && byte < 0x40) {
      if (this.length < SEQUENCE_MAX) this.sequence[this.length] = byte;
      this.length += 1;
      return;
    }
    if (byte >= 0x40 && byte < DEL) {
      if (this.length <= SEQUENCE_MAX) this.sequenceEnds(byte, left);
      this.state = State.Text;
    } else this.leave(byte);
  }

  private sequenceEnds(final: number, left: number): void {
    const parameters = this.sequence.subarray(0, this.length);
    if (final === COLOUR) {
      if (isNumbers(parameters, true)) this.colour(parameters, left);
      return;
    }
    const erases = ERASES.has(final);
    if (!erases && !MOVES.has(final)) return;
    if (!isNumbers(parameters, false) || (erases && !isErasing(parameters))) return;
    this.emit(parameters, final, left);
  }

  private colour(parameters: Uint8Array, left: number): void {
    const instead = this.onColour(parameters);
    if (instead === null) this.emit(parameters, COLOUR, left);
    else this.append(instead, left);
  }

  private emit(parameters: Uint8Array, final: number, left: number): void {
    this.room(this.size + parameters.length + 3 + left * 3);
    this.put(ESC);
    this.put(BRACKET);
    this.out.set(parameters, this.size);
    this.size += parameters.length;
    this.put(final);
  }

  private append(bytes: Uint8Array, left: number): void {
    this.room(this.size + bytes.length + left * 3);
    this.out.set(bytes, this.size);
    this.size += bytes.length;
  }

  private word(byte: number): void {
    if (this.state === State.WordsEscape) {
      this.state = State.Text;
      // ESC \ is the end; any other escape begins something new.
      if (byte !== BACKSLASH) this.escape(byte);
      return;
    }
    this.words += 1;
    if (byte === ESC) this.state = State.WordsEscape;
    else if (byte === BEL || byte === CAN || byte === SUB) this.state = State.Text;
    else if (byte === LF || this.words > WORDS_MAX) this.leave(byte);
  }

  private room(size: number): void {
    if (size <= this.out.length) return;
    const larger = new Uint8Array(Math.max(size, this.out.length * 2));
    larger.set(this.out.subarray(0, this.size));
    this.out = larger;
  }
}

/** Digits with separators, none of the numbers beyond what any screen has. */
function isNumbers(parameters: Uint8Array, colons: boolean): boolean {
  let number = 0;
  for (const byte of parameters) {
    if (byte >= 0x30 && byte <= 0x39) number = number * 10 + byte - 0x30;
    else if (byte === 0x3b || (colons && byte === 0x3a)) number = 0;
    else return false;
    if (number > PARAMETER_MAX) return false;
  }
  return true;
}

/** 0, 1 or 2: not the scrollback (3), which is what somebody may want to read. */
function isErasing(parameters: Uint8Array): boolean {
  return parameters.length === 0 || (parameters.length === 1 && parameters[0]! <= 0x32);
}
