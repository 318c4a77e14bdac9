import { Menu, UnstyledButton, useMantineColorScheme } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { chooseLanguage, LANGUAGES, type Language } from '@/i18n';
import classes from './menus.module.css';

const SCHEMES = { light: '☀', dark: '☾', auto: '◐' } as const;

export function ThemeMenu() {
  const { t } = useTranslation('shell');
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <UnstyledButton className={classes.button} aria-label={t('theme.choose')}>
          {SCHEMES[colorScheme]}
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {(Object.keys(SCHEMES) as (keyof typeof SCHEMES)[]).map((scheme) => (
          <Menu.Item
            key={scheme}
            onClick={() => setColorScheme(scheme)}
            leftSection={SCHEMES[scheme]}
            aria-current={scheme === colorScheme || undefined}
            fw={scheme === colorScheme ? 700 : undefined}
          >
            {t(`theme.${scheme}`)}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

export function LanguageMenu() {
  const { t, i18n } = useTranslation('shell');
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <UnstyledButton className={classes.button} aria-label={`${i18n.language === 'zh-CN' ? '中' : 'EN'} ${t('language')}`}>
          {i18n.language === 'zh-CN' ? '中' : 'EN'}
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {Object.entries(LANGUAGES).map(([language, name]) => (
          <Menu.Item
            key={language}
            lang={language}
            onClick={() => void chooseLanguage(language as Language)}
            fw={language === i18n.language ? 700 : undefined}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
