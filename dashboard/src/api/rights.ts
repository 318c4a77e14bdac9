/** What the person who is signed in may do, as far as the page needs it to offer only that. The gateway decides. */
import type { Me, Role } from './types';

const RANK: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };

function reaches(held: Role, needed: Role): boolean {
  return RANK[held] >= RANK[needed];
}

/** Whether the role is held on something at all. */
export function holds(me: Me | undefined, role: Role): boolean {
  if (me === undefined || (me.cap !== null && !reaches(me.cap.role, role))) return false;
  return me.grants.some((grant) => reaches(grant.role, role));
}

/** Whether the role is held on every server, and so on what belongs to none. */
export function holdsEverywhere(me: Me | undefined, role: Role): boolean {
  if (me === undefined) return false;
  if (me.cap !== null && !(reaches(me.cap.role, role) && isAll(me.cap.selector))) return false;
  return me.grants.some((grant) => reaches(grant.role, role) && isAll(grant.selector));
}

/** The selectors on which the role is held. */
export function selectorsOf(me: Me | undefined, role: Role): string[] {
  return holds(me, role) ? me!.grants.filter((grant) => reaches(grant.role, role)).map((grant) => grant.selector) : [];
}

function isAll(selector: string): boolean {
  return selector === '' || selector.trim() === 'all';
}

/** The strongest role that is held anywhere; null without any. */
export function strongest(me: Me | undefined): Role | null {
  const roles: Role[] = ['admin', 'operator', 'viewer'];
  return roles.find((role) => holds(me, role)) ?? null;
}
