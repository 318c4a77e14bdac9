/** The pages in the order of the navigation, the key that goes there after `g`, and who is offered them. */
import { holds, holdsEverywhere } from '@/api/rights';
import type { Me, Role } from '@/api/types';

export interface Entry {
  name: string;
  to: string;
  key: string;
  role: Role;
  /** Needs the role on all servers: it belongs to none. */
  everywhere?: boolean;
}

export const ENTRIES: readonly Entry[] = [
  { name: 'fleet', to: '/', key: 'h', role: 'viewer' },
  { name: 'servers', to: '/servers', key: 's', role: 'viewer' },
  { name: 'run', to: '/run', key: 'r', role: 'operator' },
  { name: 'commands', to: '/commands', key: 'c', role: 'viewer' },
  { name: 'jobs', to: '/jobs', key: 'j', role: 'viewer' },
  { name: 'deployments', to: '/deployments', key: 'd', role: 'viewer' },
  { name: 'upgrades', to: '/upgrades', key: 'u', role: 'viewer' },
  { name: 'schedules', to: '/schedules', key: 'l', role: 'viewer' },
  { name: 'playbooks', to: '/playbooks', key: 'p', role: 'viewer' },
  { name: 'credentials', to: '/credentials', key: 'k', role: 'admin', everywhere: true },
  { name: 'users', to: '/users', key: 'w', role: 'admin', everywhere: true },
  { name: 'tokens', to: '/tokens', key: 't', role: 'viewer' },
  { name: 'sessions', to: '/sessions', key: 'e', role: 'viewer' },
  { name: 'audit', to: '/audit', key: 'a', role: 'admin', everywhere: true },
];

export function entriesFor(me: Me | undefined): Entry[] {
  return ENTRIES.filter(({ role, everywhere }) => (everywhere ? holdsEverywhere(me, role) : holds(me, role)));
}
