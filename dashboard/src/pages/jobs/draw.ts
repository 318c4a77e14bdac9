/** Paints the part of a grid of hosts that is in view. */
import { SIGNS, type Tone, toneOf } from '@/ui/states';
import { boxOf, type Layout, visible } from './layout';
import type { Targets } from './targets';

type Theme = 'light' | 'dark';

// Ground and text of each tone: AA in both themes, as the badges.
const COLOURS: Record<Theme, Record<Tone, [string, string]>> = {
  light: {
    good: ['#b9e6c3', '#14532a'],
    bad: ['#f6b7b7', '#8c0f0f'],
    busy: ['#b8d9f7', '#0f4680'],
    waiting: ['#eceef0', '#4b5158'],
    doubt: ['#ffd3ab', '#7a3300'],
    neutral: ['#dfe2e6', '#434a51'],
  },
  dark: {
    good: ['#1d5a2e', '#c6f6d0'],
    bad: ['#7a2020', '#ffd5d5'],
    busy: ['#1c4d7c', '#d3e9ff'],
    waiting: ['#2a2f35', '#b9c0c7'],
    doubt: ['#6e4012', '#ffe0c2'],
    neutral: ['#3a4047', '#d0d5da'],
  },
};
const RING: Record<Theme, string> = { light: '#111418', dark: '#ffffff' };

export interface Picture {
  layout: Layout;
  targets: Targets;
  numbers: readonly number[];
  selected: number;
  pointed: number;
  theme: Theme;
  top: number;
  height: number;
}

export function draw(canvas: HTMLCanvasElement, picture: Picture): void {
  const { layout, numbers, top, height } = picture;
  const width = layout.columns * (layout.cellWidth + 4);
  const scale = window.devicePixelRatio || 1;
  size(canvas, width, height, scale);
  const pen = canvas.getContext('2d');
  if (pen === null) return;
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.textBaseline = 'middle';
  pen.font = layout.named ? '12px system-ui, sans-serif' : '9px system-ui, sans-serif';
  const [first, last] = visible(layout, numbers.length, top, height);
  for (let index = first; index < last; index += 1) cell(pen, picture, index);
}

function size(canvas: HTMLCanvasElement, width: number, height: number, scale: number): void {
  const [pixelWidth, pixelHeight] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width === pixelWidth && canvas.height === pixelHeight) return;
  canvas.width = pixelWidth;
  canvas.height = pixelHeight;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
}

function cell(pen: CanvasRenderingContext2D, picture: Picture, index: number): void {
  const { layout, targets, numbers, theme, top } = picture;
  const target = targets.get(numbers[index]!);
  if (target === undefined) return;
  const tone = toneOf(target.status);
  const [ground, text] = COLOURS[theme][tone];
  const box = boxOf(layout, index);
  const y = box.y - top;
  pen.fillStyle = ground;
  pen.beginPath();
  pen.roundRect(box.x + 1, y + 1, layout.cellWidth - 2, layout.cellHeight - 2, 4);
  pen.fill();
  pen.fillStyle = text;
  const middle = y + layout.cellHeight / 2 + 0.5;
  if (layout.named) {
    pen.fillText(SIGNS[tone], box.x + 8, middle);
    pen.fillText(fitting(pen, target.server_name, layout.cellWidth - 32), box.x + 24, middle);
  } else pen.fillText(SIGNS[tone], box.x + layout.cellWidth / 2 - 4, middle);
  if (target.number === picture.selected || index === picture.pointed) ring(pen, picture, box.x, y, target.number);
}

function ring(pen: CanvasRenderingContext2D, picture: Picture, x: number, y: number, number: number): void {
  const { layout, theme, selected } = picture;
  pen.strokeStyle = RING[theme];
  pen.lineWidth = number === selected ? 2 : 1;
  pen.beginPath();
  pen.roundRect(x + 1, y + 1, layout.cellWidth - 2, layout.cellHeight - 2, 4);
  pen.stroke();
}

/** `text`, or as much of it as there is room for. */
function fitting(pen: CanvasRenderingContext2D, text: string, width: number): string {
  if (pen.measureText(text).width <= width) return text;
  let length = Math.max(1, Math.floor(text.length * (width / pen.measureText(text).width)) - 1);
  while (length > 1 && pen.measureText(`${text.slice(0, length)}…`).width > width) length -= 1;
  return `${text.slice(0, length)}…`;
}
