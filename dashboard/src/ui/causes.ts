/** Causes: stable names of the services, said in the person's language (i18n `states`). */
import { useTranslation } from 'react-i18next';

/** The names under which a text may stand: a step that met a cause of the agent's, `agent_hung`, has that cause's too. */
export function namesOf(cause: string): string[] {
  const name = cause.toLowerCase();
  return name.startsWith('agent_') ? [name, name.slice('agent_'.length)] : [name];
}

/** Says a cause (`refused`, `AGENT_HUNG`); one that has no text stays as it is. */
export function useCauses(): (cause: string) => string {
  const { t } = useTranslation('states');
  return (cause) => t(namesOf(cause).map((name) => `cause_of.${name}`), { defaultValue: cause });
}
