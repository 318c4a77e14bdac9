/** Where to go after the login: only inside the dashboard, whatever a link to the login page says. */
export function innerAddress(next: string | undefined): string {
  if (next === undefined || !/^\/(?![/\\])/.test(next) || next.startsWith('/login')) return '/';
  return next;
}
