// The terminal itself: xterm, made deaf and dumb. It shows what it is given and sends nothing anywhere.

import { FitAddon } from '@xterm/addon-fit';
import { type IMarker, type ITheme, Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';

import type { Screen } from './queue';

/** Lines that can be scrolled back to; older ones are found by search and download. */
export const SCROLLBACK = 10_000;

export const THEMES: Record<'light' | 'dark', ITheme> = {
  dark: {
    background: '#14171a',
    foreground: '#d9dde1',
    cursor: '#14171a',
    selectionBackground: '#2f5f96',
    black: '#3b4148',
    red: '#ff7b7b',
    green: '#7ddc8c',
    yellow: '#e8cf6a',
    blue: '#7db8ff',
    magenta: '#d9a3ff',
    cyan: '#6fd6dc',
    white: '#d9dde1',
  },
  light: {
    background: '#ffffff',
    foreground: '#1c2024',
    cursor: '#ffffff',
    selectionBackground: '#b5d5ff',
    black: '#1c2024',
    red: '#b3261e',
    green: '#1b6b2f',
    yellow: '#7a5a00',
    blue: '#13518f',
    magenta: '#7d2fa8',
    cyan: '#0b6a70',
    white: '#5c636a',
    brightWhite: '#3a4046',
  },
};

// Of the control strings that xterm itself would act upon. The filter lets none through; this is the second wall.
const STRINGS = [0, 1, 2, 4, 8, 9, 10, 11, 12, 52, 104, 110, 111, 112, 133, 777, 1337];

export class TerminalView implements Screen {
  private readonly terminal: Terminal;
  private readonly fit = new FitAddon();
  private readonly observer: ResizeObserver;
  private following = true;

  constructor(
    private readonly host: HTMLElement,
    label: string,
    theme: 'light' | 'dark',
    onFollowing: (following: boolean) => void,
  ) {
    this.terminal = new Terminal({
      theme: THEMES[theme],
      scrollback: SCROLLBACK,
      disableStdin: true,
      convertEol: true,
      cursorInactiveStyle: 'none',
      cursorBlink: false,
      fontFamily: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace',
      fontSize: 13,
      minimumContrastRatio: 4.5,
      linkHandler: { activate: () => undefined },
      windowOptions: {},
    });
    for (const number of STRINGS) this.terminal.parser.registerOscHandler(number, () => true);
    this.terminal.loadAddon(this.fit);
    this.terminal.open(host);
    this.terminal.textarea?.setAttribute('aria-label', label);
    this.terminal.textarea?.setAttribute('readonly', 'true');
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    this.terminal.onRender(() => this.look(onFollowing));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
  }

  get columns(): number {
    return this.terminal.cols;
  }

  get capacity(): number {
    return SCROLLBACK;
  }

  write(data: Uint8Array, done: () => void): void {
    this.terminal.write(data, done);
  }

  /** Empty, as at first. */
  clear(): void {
    this.terminal.reset();
  }

  dress(theme: 'light' | 'dark'): void {
    this.terminal.options.theme = THEMES[theme];
  }

  toEnd(): void {
    this.terminal.scrollToBottom();
  }

  /** The place of the next character; -1 in it once the scrollback has lost it. */
  marker(): IMarker | undefined {
    return this.terminal.registerMarker(0);
  }

  /** Bring a place into view and its line into the selection. */
  reveal(marker: IMarker, length: number): void {
    if (marker.line < 0) return;
    this.terminal.scrollToLine(Math.max(0, marker.line - 3));
    this.terminal.select(0, marker.line, Math.min(length, this.terminal.cols * 40));
  }

  /** All that can be scrolled to, as text; lines that were folded are whole again. */
  text(): string {
    const { active } = this.terminal.buffer;
    const lines: string[] = [];
    for (let row = 0; row < active.length; row += 1) {
      const line = active.getLine(row);
      if (line === undefined) continue;
      const folded = active.getLine(row + 1)?.isWrapped ?? false;
      const text = line.translateToString(!folded);
      if (line.isWrapped && lines.length > 0) lines[lines.length - 1] += text;
      else lines.push(text);
    }
    return `${lines.join('\n').trimEnd()}\n`;
  }

  dispose(): void {
    this.observer.disconnect();
    this.terminal.dispose();
  }

  private resize(): void {
    if (this.host.clientWidth > 0 && this.host.clientHeight > 0) this.fit.fit();
  }

  private look(onFollowing: (following: boolean) => void): void {
    const { active } = this.terminal.buffer;
    const following = active.viewportY >= active.baseY;
    if (following === this.following) return;
    this.following = following;
    onFollowing(following);
  }

  /** Keys move through the output; all others, Tab above all, are the page's. */
  private key(event: KeyboardEvent): boolean {
    if (event.type !== 'keydown' || event.ctrlKey || event.metaKey || event.altKey) return false;
    const page = this.terminal.rows - 1;
    const moves: Record<string, () => void> = {
      ArrowUp: () => this.terminal.scrollLines(-1),
      ArrowDown: () => this.terminal.scrollLines(1),
      PageUp: () => this.terminal.scrollLines(-page),
      PageDown: () => this.terminal.scrollLines(page),
      Home: () => this.terminal.scrollToTop(),
      End: () => this.terminal.scrollToBottom(),
    };
    const move = moves[event.key];
    if (move !== undefined) {
      event.preventDefault();
      move();
    }
    return false;
  }
}
