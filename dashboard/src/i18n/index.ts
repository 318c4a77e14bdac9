/** Languages: a file per area and language in this folder, the file's name is the namespace. */
import i18next from 'i18next';
import { initReactI18next } from 'react-i18next';
import { remember, remembered } from '@/ui/remember';
import type { Texts } from './bundle';

export const LANGUAGES = { en: 'English', 'zh-CN': '简体中文' } as const;
export type Language = keyof typeof LANGUAGES;

const STORED = 'myx-language';
const LOAD: Record<Language, () => Promise<{ default: Texts }>> = {
  en: () => import('./en'),
  'zh-CN': () => import('./zh-CN'),
};

/** The one chosen here before, else the browser's, else English. */
export function preferred(stored: string | null, wanted: readonly string[]): Language {
  if (stored !== null && stored in LANGUAGES) return stored as Language;
  for (const one of wanted) {
    if (one.toLowerCase().startsWith('zh')) return 'zh-CN';
    if (one.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}

async function load(language: Language): Promise<void> {
  const { default: texts } = await LOAD[language]();
  for (const [namespace, resource] of Object.entries(texts)) i18next.addResourceBundle(language, namespace, resource);
}

export async function startI18n(): Promise<void> {
  const language = preferred(remembered(STORED), navigator.languages);
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    defaultNS: 'common',
    interpolation: { escapeValue: false }, // React escapes
    resources: {},
    returnNull: false,
  });
  await load(language);
  document.documentElement.lang = language;
}

export async function chooseLanguage(language: Language): Promise<void> {
  await load(language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  remember(STORED, language);
}
