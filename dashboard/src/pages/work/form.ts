/** What somebody fills in to run something on servers, and the job that follows from it. */
import type { components } from '@/api/schema';
import { splitLine } from './argv';
import { parseDuration } from './durations';

type Schemas = components['schemas'];
export type NewJob = Schemas['NewJob'];

export interface WorkForm {
  what: 'shell' | 'program' | 'playbook' | 'deployment';
  line: string;
  cwd: string;
  user: string;
  env: string;
  secretEnv: string;
  stdin: string;
  kind: string;
  /** `project/playbook.yml`. */
  playbook: string;
  method: string;
  extraVars: string;
  secretVars: string;
  check: boolean;
  diff: boolean;
  tags: string;
  limit: string;
  artifact: string;
  timeout: string;
  noOutputTimeout: string;
  connectTimeout: string;
  offline: string;
  queueTimeout: string;
  lock: string;
  where: 'selector' | 'servers';
  selector: string;
  servers: string[];
  name: string;
  concurrency: string;
  batches: string;
  batchLabel: string;
  batchPause: string;
  canary: string;
  soak: string;
  maxFailed: string;
  maxUnreachable: string;
  deadline: string;
}

export const EMPTY: WorkForm = {
  what: 'shell',
  line: '',
  cwd: '',
  user: '',
  env: '',
  secretEnv: '',
  stdin: '',
  kind: 'caddy',
  playbook: '',
  method: 'auto',
  extraVars: '',
  secretVars: '',
  check: false,
  diff: false,
  tags: '',
  limit: '',
  artifact: '',
  timeout: '',
  noOutputTimeout: '',
  connectTimeout: '',
  offline: 'fail',
  queueTimeout: '',
  lock: 'none',
  where: 'selector',
  selector: '',
  servers: [],
  name: '',
  concurrency: '',
  batches: '',
  batchLabel: '',
  batchPause: '',
  canary: '',
  soak: '',
  maxFailed: '',
  maxUnreachable: '',
  deadline: '',
};

/** Fields that are wrong, each with the key of a text that says how. */
export type Wrong = Partial<Record<keyof WorkForm, string>>;

const SHARE = /^([1-9]\d{0,6}|(\d{1,3})(\.\d{1,6})?%)$/;
const THRESHOLD = /^(\d{1,7}|(\d{1,3})(\.\d{1,6})?%)$/;

/** What is wrong in a form; empty when it can be sent. */
export function check(form: WorkForm): Wrong {
  const wrong: Wrong = {};
  const isCommand = form.what === 'shell' || form.what === 'program';
  if (isCommand) checkCommand(form, wrong);
  else checkDeployment(form, wrong);
  if (form.where === 'selector' && form.selector.trim() === '') wrong.selector = 'wrong.selector';
  if (form.where === 'servers' && form.servers.length === 0) wrong.servers = 'wrong.servers';
  for (const name of ['timeout', 'noOutputTimeout', 'connectTimeout', 'queueTimeout', 'batchPause', 'soak', 'deadline'] as const)
    if (Number.isNaN(parseDuration(form[name]))) wrong[name] = 'wrong.duration';
  for (const name of ['concurrency', 'canary'] as const)
    if (form[name].trim() !== '' && !SHARE.test(form[name].trim())) wrong[name] = 'wrong.share';
  for (const name of ['maxFailed', 'maxUnreachable'] as const)
    if (form[name].trim() !== '' && !THRESHOLD.test(form[name].trim())) wrong[name] = 'wrong.threshold';
  if (shares(form.batches).some((share) => !SHARE.test(share))) wrong.batches = 'wrong.share';
  if (form.batches.trim() !== '' && form.batchLabel.trim() !== '') wrong.batchLabel = 'wrong.batches';
  return wrong;
}

function checkCommand(form: WorkForm, wrong: Wrong): void {
  if (form.line.trim() === '') wrong.line = 'wrong.line';
  else if (form.what === 'program' && splitLine(form.line) === null) wrong.line = 'wrong.quotes';
  for (const name of ['env', 'secretEnv'] as const) if (variables(form[name]) === null) wrong[name] = 'wrong.variables';
}

function checkDeployment(form: WorkForm, wrong: Wrong): void {
  if (form.what === 'playbook' && !form.playbook.includes('/')) wrong.playbook = 'wrong.playbook';
  if (object(form.extraVars) === null) wrong.extraVars = 'wrong.json';
  if (variables(form.secretVars) === null) wrong.secretVars = 'wrong.variables';
}

/** The body of `POST /jobs`, of a form that has nothing wrong in it. */
export function toJob(form: WorkForm, sha256 = ''): NewJob {
  const isCommand = form.what === 'shell' || form.what === 'program';
  return {
    name: form.name.trim(),
    ...place(form),
    work: { command: isCommand ? command(form) : null, deployment: isCommand ? null : deployment(form) },
    options: options(form),
    expected_targets_sha256: sha256,
  } as NewJob;
}

/** Where, as jobs and previews want it. */
export function place(form: WorkForm): { selector: string } | { servers: string[] } {
  return form.where === 'selector' ? { selector: form.selector.trim() } : { servers: form.servers };
}

export function options(form: WorkForm): NonNullable<NewJob['options']> {
  const share = (text: string) => (text.trim() === '' ? null : text.trim());
  return {
    concurrency: share(form.concurrency),
    batches: shares(form.batches),
    batch_label: form.batchLabel.trim(),
    batch_pause_s: parseDuration(form.batchPause),
    canary: share(form.canary),
    canary_soak_s: parseDuration(form.soak),
    max_failed: share(form.maxFailed),
    max_unreachable: share(form.maxUnreachable),
    deadline_s: parseDuration(form.deadline),
  } as NonNullable<NewJob['options']>;
}

function queueing(form: WorkForm) {
  return { offline: form.offline, queue_timeout_s: parseDuration(form.queueTimeout), lock: form.lock };
}

function command(form: WorkForm) {
  const [program, ...args] = form.what === 'shell' ? ['sh', '-c', form.line] : splitLine(form.line)!;
  return {
    ...queueing(form),
    command: program,
    args,
    env: variables(form.env),
    secret_env: variables(form.secretEnv),
    cwd: form.cwd.trim(),
    user: form.user.trim(),
    stdin: base64(form.stdin),
    timeout_s: parseDuration(form.timeout),
    no_output_timeout_s: parseDuration(form.noOutputTimeout),
    connect_timeout_s: parseDuration(form.connectTimeout),
  };
}

export function deployment(form: WorkForm) {
  const cut = form.playbook.indexOf('/');
  const named = form.what === 'playbook';
  return {
    ...queueing(form),
    kind: named ? 'playbook' : form.kind,
    method: form.method,
    project: named ? form.playbook.slice(0, cut) : '',
    playbook: named ? form.playbook.slice(cut + 1) : '',
    extra_vars: object(form.extraVars),
    secret_vars: variables(form.secretVars),
    check: form.check,
    diff: form.diff,
    tags: words(form.tags),
    limit: form.limit.trim(),
    timeout_s: parseDuration(form.timeout),
    no_output_timeout_s: parseDuration(form.noOutputTimeout),
    artifact_sha256: form.artifact,
  };
}

function shares(text: string): string[] {
  return words(text);
}

function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

/** `NAME=value` lines; null when one is none. */
export function variables(text: string): Record<string, string> | null {
  const found: Record<string, string> = {};
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const cut = line.indexOf('=');
    if (cut < 1) return null;
    found[line.slice(0, cut).trim()] = line.slice(cut + 1);
  }
  return found;
}

/** A JSON object; null when it is none. */
export function object(text: string): Record<string, unknown> | null {
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function base64(text: string): string {
  let bytes = '';
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}
