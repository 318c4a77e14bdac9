/** Inputs bound to fields of a WorkForm. */
import { Select, Switch, Textarea, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { WorkForm, Wrong } from './form';

export interface Bound {
  form: WorkForm;
  wrong: Wrong;
  set: (part: Partial<WorkForm>) => void;
}

type TextField = { [K in keyof WorkForm]: WorkForm[K] extends string ? K : never }[keyof WorkForm];
type Flag = { [K in keyof WorkForm]: WorkForm[K] extends boolean ? K : never }[keyof WorkForm];

interface FieldProps extends Bound {
  name: TextField;
  mono?: boolean;
  hint?: boolean;
  rows?: number;
  placeholder?: string;
}

const MONO = { input: { fontFamily: 'var(--mantine-font-family-monospace)' } };

/** One line of text, or more with `rows`. */
export function Field({ form, wrong, set, name, mono, hint, rows, placeholder }: FieldProps) {
  const { t } = useTranslation('work');
  const error = wrong[name];
  const shared = {
    label: t(`form.${name}`),
    description: hint ? t(`form_hint.${name}`) : undefined,
    placeholder,
    value: form[name],
    error: error === undefined ? undefined : t(error),
    onChange: (event: { currentTarget: { value: string } }) => set({ [name]: event.currentTarget.value }),
    styles: mono ? MONO : undefined,
    spellCheck: false,
    autoComplete: 'off',
  };
  if (rows === undefined) return <TextInput {...shared} />;
  return <Textarea {...shared} autosize minRows={rows} maxRows={16} />;
}

export function Flagged({ form, set, name }: Bound & { name: Flag }) {
  const { t } = useTranslation('work');
  return (
    <Switch
      label={t(`form.${name}`)}
      description={t(`form_hint.${name}`)}
      checked={form[name]}
      onChange={(event) => set({ [name]: event.currentTarget.checked })}
    />
  );
}

interface ChoiceProps extends Bound {
  name: TextField;
  values: readonly string[];
  /** Key of the texts of the values. */
  texts: string;
  hint?: boolean;
}

export function Choice({ form, set, name, values, texts, hint }: ChoiceProps) {
  const { t } = useTranslation('work');
  return (
    <Select
      label={t(`form.${name}`)}
      description={hint ? t(`form_hint.${name}`) : undefined}
      data={values.map((value) => ({ value, label: t(`${texts}.${value}`) }))}
      value={form[name]}
      onChange={(value) => value !== null && set({ [name]: value })}
      allowDeselect={false}
    />
  );
}
