import { Kbd, Modal, Table, UnstyledButton } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useMe } from '@/api/session';
import { meaningOf } from './keys';
import classes from './menus.module.css';
import { entriesFor } from './navigation';

/** Keys: `g` and a letter goes somewhere, `/` to the filter, `?` shows them. */
export function Shortcuts() {
  const { t } = useTranslation('shell');
  const [shown, setShown] = useState(false);
  const me = useMe();
  const navigate = useNavigate();
  const entries = entriesFor(me);
  const state = useRef({ pending: false, entries, navigate });
  state.current.entries = entries;
  state.current.navigate = navigate;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const meaning = meaningOf(event, state.current.pending, state.current.entries);
      state.current.pending = meaning.kind === 'pending';
      if (meaning.kind === 'none' || meaning.kind === 'pending') return;
      event.preventDefault();
      if (meaning.kind === 'help') setShown(true);
      else if (meaning.kind === 'go') void state.current.navigate({ to: meaning.to });
      else document.querySelector<HTMLInputElement>('[data-filter], [data-selector-input]')?.focus();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  return (
    <>
      <UnstyledButton className={classes.button} aria-label={t('keys.title')} onClick={() => setShown(true)}>
        ?
      </UnstyledButton>
      <Modal opened={shown} onClose={() => setShown(false)} title={t('keys.title')} size="sm">
        <Table withRowBorders={false} verticalSpacing={4}>
          <Table.Tbody>
            {entries.map((entry) => (
              <Table.Tr key={entry.to}>
                <Table.Td>
                  <Kbd>g</Kbd> <Kbd>{entry.key}</Kbd>
                </Table.Td>
                <Table.Td>{t(`nav.${entry.name}`)}</Table.Td>
              </Table.Tr>
            ))}
            <Table.Tr>
              <Table.Td>
                <Kbd>/</Kbd>
              </Table.Td>
              <Table.Td>{t('keys.filter')}</Table.Td>
            </Table.Tr>
            <Table.Tr>
              <Table.Td>
                <Kbd>?</Kbd>
              </Table.Td>
              <Table.Td>{t('keys.help')}</Table.Td>
            </Table.Tr>
          </Table.Tbody>
        </Table>
      </Modal>
    </>
  );
}
