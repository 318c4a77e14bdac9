// Output that would do something in a careless terminal, and output that must pass. Also played in a browser (tests/browser).

export interface Harmful {
  name: string;
  /** One character for each byte. */
  bytes: string;
  /** What stays of it; nothing unless told. */
  left?: string;
}

export const HARMFUL: Harmful[] = [
  { name: 'setting the title (OSC 0)', bytes: '\x1b]0;owned\x07' },
  { name: 'setting the title (OSC 2), ended by ST', bytes: '\x1b]2;owned\x1b\\' },
  { name: 'asking for the title', bytes: '\x1b[21t' },
  { name: 'writing the clipboard (OSC 52)', bytes: '\x1b]52;c;cm0gLXJmIC8=\x07' },
  { name: 'reading the clipboard', bytes: '\x1b]52;c;?\x1b\\' },
  { name: 'a link to a script (OSC 8)', bytes: '\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\', left: 'click' },
  { name: 'a link to elsewhere', bytes: '\x1b]8;id=1;https://evil.example/\x07click\x1b]8;;\x07', left: 'click' },
  { name: 'changing the palette (OSC 4, 10, 104)', bytes: '\x1b]4;0;rgb:00/00/00\x07\x1b]10;#000\x07\x1b]104\x07' },
  { name: 'a notification (OSC 9, 777)', bytes: '\x1b]9;hello\x07\x1b]777;notify;a;b\x07' },
  { name: 'a file (OSC 1337)', bytes: '\x1b]1337;File=inline=1:AAAA\x07' },
  { name: 'a report of the device (DA)', bytes: '\x1b[c\x1b[>c\x1b[=c\x1b[0c' },
  { name: 'a report of the cursor (DSR)', bytes: '\x1b[6n\x1b[5n\x1b[?6n' },
  { name: 'the answerback (ENQ)', bytes: '\x05\x05' },
  { name: 'a report of settings (DECRQSS)', bytes: '\x1bP$q"p\x1b\\' },
  { name: 'a report of terminfo (XTGETTCAP)', bytes: '\x1bP+q544e\x1b\\' },
  { name: 'a report of a mode (DECRQM)', bytes: '\x1b[?2004$p' },
  { name: 'user-defined keys (DECUDK)', bytes: '\x1bP0;1|17/0a726d\x1b\\' },
  { name: 'a picture (sixel)', bytes: '\x1bPq#0;2;0;0;0#0!9999~\x1b\\' },
  { name: 'a picture (APC)', bytes: '\x1b_Gf=24,s=10,v=20;AAAA\x1b\\' },
  { name: 'a privacy message and a string', bytes: '\x1b^secret\x1b\\\x1bXsecret\x1b\\' },
  { name: 'a new size of the window', bytes: '\x1b[8;1;1t\x1b[4;1;1t\x1b[?3h' },
  { name: 'the alternate screen', bytes: '\x1b[?1049h\x1b[?47h\x1b[?1049l' },
  { name: 'a flood of alternate screens', bytes: '\x1b[?1049h\x1b[?1049l'.repeat(2000) },
  { name: 'reporting of the mouse and pastes', bytes: '\x1b[?1000h\x1b[?1003h\x1b[?1006h\x1b[?2004h\x1b[?1004h' },
  { name: 'a reset of all (RIS)', bytes: '\x1bc\x1b[!p' },
  { name: 'erasing the scrollback', bytes: '\x1b[3J\x1b[?3J\x1b[2;3J' },
  { name: 'repeating a billion times (REP)', bytes: '\x1b[999999999b' },
  { name: 'scrolling a billion times', bytes: '\x1b[999999999S\x1b[999999999T\x1b[9999S' },
  { name: 'inserting a billion lines', bytes: '\x1b[999999999L\x1b[999999999M\x1b[9999L' },
  { name: 'moving to a place beyond any screen', bytes: '\x1b[99999999999999999999;1H' },
  { name: 'a scroll region that hides what follows', bytes: '\x1b[1;1r' },
  { name: 'a screen full of E', bytes: '\x1b#8' },
  { name: 'line-drawing signs for letters', bytes: '\x1b(0\x0e\x1b)0\x1b%G' },
  { name: 'keyboard modes', bytes: '\x1b=\x1b>\x1b[>4;2m\x1b[4h\x1b[20h' },
  { name: 'a C1 CSI and OSC in UTF-8', bytes: '\xc2\x9b\xc2\x9d\xc2\x90\xc2\x85' },
  { name: 'control characters', bytes: '\x00\x01\x02\x03\x04\x06\x07\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x1c\x1d\x1e\x1f\x7f' },
  { name: 'a sequence that is too long', bytes: `\x1b[${'1;'.repeat(500)}m` },
  { name: 'a sequence that was broken off', bytes: '\x1b[31\x18\x1b[12\x1a' },
  { name: 'text turned about (U+202E, U+2066)', bytes: '\xe2\x80\xaetxt.exe\xe2\x81\xa6', left: '\ufffdtxt.exe\ufffd' },
];

export const HARMLESS: { name: string; text: string }[] = [
  { name: 'plain text', text: 'a line\r\nand another one\n\tindented' },
  { name: 'colours', text: '\x1b[1;31mred\x1b[0m \x1b[38;5;208morange\x1b[m \x1b[48;2;1;2;3mrgb\x1b[38:2::1:2:3m\x1b[4:3mcurly\x1b[0m' },
  { name: 'a bar of progress', text: ' 10 %\r 50 %\r100 %\x1b[K\n' },
  { name: 'movements of the cursor', text: '\x1b[2A\x1b[3B\x1b[1C\x1b[5D\x1b[1E\x1b[2F\x1b[3G\x1b[4;5H\x1b[6d\x1b[s\x1b[u\x1b7\x1b8\x1bM' },
  { name: 'erasing on the screen', text: '\x1b[J\x1b[1J\x1b[2J\x1b[K\x1b[1K\x1b[2K\x1b[3X\x1b[2P\x1b[2@' },
  { name: 'many languages', text: 'Grüße, 世界, مرحبا, שלום, नमस्ते, 한국어, 🦊, 👩‍👩‍👧, e\u0301' },
  { name: 'backspaces', text: 'abc\b\b\bxyz' },
];
