/** What the form holds, and how it becomes a request. */
export type Login = 'key' | 'password' | 'shared';

export interface ServerFields {
  name: string;
  address: string;
  port: string;
  user: string;
  login: Login;
  key: string;
  passphrase: string;
  password: string;
  sudoPassword: string;
  shared: string;
  labels: string;
  fingerprint: string;
}

export const EMPTY: ServerFields = {
  name: '',
  address: '',
  port: '22',
  user: '',
  login: 'key',
  key: '',
  passphrase: '',
  password: '',
  sudoPassword: '',
  shared: '',
  labels: '',
  fingerprint: '',
};

/** `env=prod, role=web` or one a line; a name alone is a label without a value. */
export function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const part of text.split(/[,\n]/)) {
    const [name, ...value] = part.split('=');
    if (name !== undefined && name.trim() !== '') labels[name.trim()] = value.join('=').trim();
  }
  return labels;
}

export function formatLabels(labels: Record<string, string>): string {
  return Object.entries(labels)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
    .join('\n');
}

function credentialOf(fields: ServerFields): Record<string, string> | undefined {
  if (fields.login === 'shared') return undefined;
  const secret: Record<string, string> = {};
  if (fields.login === 'password') secret.password = fields.password;
  else {
    // OpenSSH wants the last line ended, and a paste often loses that.
    secret.private_key = `${fields.key.trim()}\n`;
    if (fields.passphrase !== '') secret.passphrase = fields.passphrase;
  }
  if (fields.sudoPassword !== '') secret.sudo_password = fields.sudoPassword;
  return secret;
}

export function requestOf(fields: ServerFields): Record<string, unknown> {
  return {
    name: fields.name.trim(),
    address: fields.address.trim(),
    labels: parseLabels(fields.labels),
    ssh: {
      port: Number(fields.port),
      user: fields.user.trim(),
      credential: fields.login === 'shared' ? fields.shared : '',
    },
    ...(fields.login === 'shared' ? {} : { credential: credentialOf(fields) }),
    ...(fields.fingerprint.trim() === '' ? {} : { host_key_fingerprint: fields.fingerprint.trim() }),
  };
}
