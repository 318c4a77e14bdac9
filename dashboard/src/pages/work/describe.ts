/** Work in a few words. */
import type { components } from '@/api/schema';

type Schemas = components['schemas'];
export type CommandContent = Schemas['CommandContent'];
export type DeploymentContent = Omit<Schemas['JobDeployment'], 'force' | 'new_port' | 'new_path' | 'artifact_sha256'>;

export interface AnyWork {
  command: CommandContent | null;
  deployment: DeploymentContent | null;
}

type Line = Pick<CommandContent, 'command' | 'args'>;
type Task = Pick<DeploymentContent, 'kind' | 'project' | 'playbook'>;

/** The `t` of any namespace. */
export type Say = (key: string, options?: { ns: string; defaultValue: string }) => string;

const PLAIN = /^[\w@%+=:,./-]+$/;
const LONGEST = 80;

/** One argument as a shell would want it; for reading, not for running. */
export function quoted(text: string): string {
  return PLAIN.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function isShellLine(command: string, args: readonly string[]): boolean {
  return (command === 'sh' || command === '/bin/sh') && args.length === 2 && args[0] === '-c';
}

/** A command line as a person would have typed it: `sh -c 'x'` is x. */
export function commandLine(command: string, args: readonly string[]): string {
  if (isShellLine(command, args)) return args[1]!;
  return [command, ...args].map(quoted).join(' ');
}

/** What the form is filled in with to run a command again there; secrets have to be given anew. */
export function repeatOf(command: CommandContent, server: string): Record<string, string> {
  const env = Object.entries(command.env).map(([name, value]) => `${name}=${value}`);
  return {
    what: isShellLine(command.command, command.args) ? 'shell' : 'program',
    line: commandLine(command.command, command.args),
    servers: server,
    cwd: command.cwd,
    user: command.user,
    env: env.join('\n'),
  };
}

/** What a deployment does in the reader's language, or which playbook it runs. */
export function deploymentName(t: Say, work: Task): string {
  if (work.kind !== 'playbook') return t(`kind.${work.kind}`, { ns: 'work', defaultValue: work.kind });
  return [work.project, work.playbook].filter((one) => one !== '').join('/');
}

/** Short enough for a heading. */
export function titleOf(t: Say, work: { command: Line | null; deployment: Task | null }): string {
  const text = work.command ? commandLine(work.command.command, work.command.args) : '';
  return shortened(work.deployment ? deploymentName(t, work.deployment) : text);
}

/** The first line, or as much of it as a heading holds. */
export function shortened(text: string, longest = LONGEST): string {
  const line = text.trim().split('\n')[0] ?? '';
  return line.length > longest || line !== text.trim() ? `${line.slice(0, longest - 1)}…` : line;
}

/** Names of what has to be given again for a repeat. */
export function secretsOf(work: AnyWork): string[] {
  return [...(work.command?.secret_env_names ?? []), ...(work.deployment?.secret_var_names ?? [])];
}
