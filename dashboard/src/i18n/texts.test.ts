import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import en from './en';
import { preferred } from './index';
import zh from './zh-CN';

type Tree = Record<string, unknown>;

function keys(tree: Tree, prefix = ''): string[] {
  return Object.entries(tree).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null ? keys(value as Tree, `${prefix}${name}.`) : [`${prefix}${name}`],
  );
}

function words(tree: Tree): [string, string][] {
  return Object.entries(tree).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name, value] as [string, string]] : words(value as Tree),
  );
}

function placeholders(text: string): string[] {
  return (text.match(/\{\{\w+\}\}/g) ?? []).sort();
}

function at(tree: Tree, path: string): string {
  return path.split('.').reduce<unknown>((node, name) => (node as Tree)[name], tree) as string;
}

describe('texts', () => {
  it('are of the same areas in both languages', () => {
    expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  });

  it.each(Object.keys(en))('of %s say the same things in both languages', (area) => {
    const [english, chinese] = [en[area] as Tree, zh[area] as Tree];
    expect(keys(chinese).sort()).toEqual(keys(english).sort());
    for (const path of keys(english)) {
      expect([path, placeholders(at(chinese, path))]).toEqual([path, placeholders(at(english, path))]);
    }
  });

  it.each(Object.keys(zh))('of %s are Chinese in Chinese', (area) => {
    const english = words(zh[area] as Tree).filter(([, text]) => /[a-z]{4,} [a-z]{3,} [a-z]{3,}/.test(text.replace(/`[^`]*`/g, '')));
    expect(english.filter(([, text]) => !/[\u4e00-\u9fff]/.test(text) && !/[=~]/.test(text))).toEqual([]);
  });
});

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return path.endsWith('.tsx') ? [path] : [];
  });
}

/** Names and not words: the same in every language. */
const NAMES = new Set(['MyX', 'MyX ']);

describe('pages', () => {
  it('take their words from the texts', () => {
    const found = sources('src').flatMap((path) => {
      const code = readFileSync(path, 'utf8');
      // Text between tags, and the attributes that people read.
      const between = [...code.matchAll(/>\s*([A-Z][A-Za-z' ]+?)\s*(?:\{[^}]*\}\s*)?<\//g)].map((match) => match[1] ?? '');
      const attributes = [...code.matchAll(/\b(?:label|title|description|aria-label)="([A-Z][^"]*)"/g)].map((match) => match[1] ?? '');
      return [...between, ...attributes].filter((text) => !NAMES.has(text)).map((text) => `${path}: ${text}`);
    });
    expect(found).toEqual([]);
  });
});

describe('preferred', () => {
  it('is what was chosen before', () => {
    expect(preferred('zh-CN', ['en-US'])).toBe('zh-CN');
  });

  it('is the first language of the browser that there is', () => {
    expect(preferred(null, ['fr-FR', 'zh-TW', 'en-GB'])).toBe('zh-CN');
    expect(preferred('klingon', ['de', 'en-GB', 'zh'])).toBe('en');
    expect(preferred(null, ['fr'])).toBe('en');
  });
});
