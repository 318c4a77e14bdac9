/** What an entry of the trail says in a line. */
import type { AuditEntry } from '@/api/types';

const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What it was done on: by name where the entry has one, by id where it has not. */
export function onWhat({ operation, targets, resource, details }: AuditEntry): string {
  const server = details.server ?? (operation.startsWith('servers.') ? details.name : undefined);
  const servers = targets.length === 1 ? targets.map((one) => named(one, server)) : targets;
  return [...new Set([...servers, named(resource, details.name)])].filter(Boolean).join(', ');
}

function named(one: string, name: unknown): string {
  return ID.test(one) && typeof name === 'string' && name !== '' ? name : one;
}

/** A head of the chain as `myx audit verify --expect` takes it. */
export function headOf(head: { head_seq: number; head_hash: string }): string {
  return `${head.head_seq}:${head.head_hash}`;
}
