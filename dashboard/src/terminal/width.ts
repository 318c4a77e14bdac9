// Which characters need care before they reach a terminal.

const ZERO_WIDTH = /[\p{M}\p{Cf}]/u;

let planeZero: Uint8Array | null = null;

function bitmap(): Uint8Array {
  const bits = new Uint8Array(0x10000 / 8);
  for (let code = 0x300; code < 0x10000; code += 1) {
    const isSurrogate = code >= 0xd800 && code <= 0xdfff;
    if (!isSurrogate && ZERO_WIDTH.test(String.fromCharCode(code))) bits[code >> 3]! |= 1 << (code & 7);
  }
  return bits;
}

/** Whether a character is drawn upon the one before it. */
export function isZeroWidth(code: number): boolean {
  if (code < 0x300) return false;
  if (code > 0xffff) return ZERO_WIDTH.test(String.fromCodePoint(code));
  planeZero ??= bitmap();
  return (planeZero[code >> 3]! & (1 << (code & 7))) !== 0;
}

/** Whether a character changes the direction of those behind it, so that a line shows other text than it holds. */
export function turnsText(code: number): boolean {
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}
