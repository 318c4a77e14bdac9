import { useState } from 'react';
import type { Bound } from './fields';
import { check, EMPTY, type WorkForm, type Wrong } from './form';

export interface WorkFormState extends Bound {
  /** Say what is wrong from now on; whether nothing is. */
  validate: () => boolean;
}

/** A form whose faults are shown once somebody wanted to go on. */
export function useWorkForm(initial: Partial<WorkForm>): WorkFormState {
  const [form, setForm] = useState<WorkForm>({ ...EMPTY, ...initial });
  const [isShown, setShown] = useState(false);
  const wrong: Wrong = isShown ? check(form) : {};
  return {
    form,
    wrong,
    set: (part) => setForm((before) => ({ ...before, ...part })),
    validate: () => {
      setShown(true);
      return Object.keys(check(form)).length === 0;
    },
  };
}
