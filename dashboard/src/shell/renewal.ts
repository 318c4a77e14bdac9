/**
 * After an upgrade of the gateway the parts of the page that were not loaded yet have other names. The page is loaded
 * anew then, once: a second failure within a minute is something else, and is shown.
 */
const STORED = 'myx-renewed-at';
const ONCE_IN_MS = 60_000;

export function mayRenew(last: string | null, now: number): boolean {
  return last === null || now - Number(last) > ONCE_IN_MS;
}

export function renewAfterUpgrades(): void {
  addEventListener('vite:preloadError', () => {
    void renew();
  });
}

async function renew(): Promise<void> {
  const now = Date.now();
  if (!mayRenew(sessionStorage.getItem(STORED), now)) return;
  // Away altogether: a reload would leave nothing but the browser's own error.
  const answer = await fetch('/readyz', { cache: 'no-store' }).catch(() => null);
  if (answer === null || !answer.ok) return;
  sessionStorage.setItem(STORED, String(now));
  location.reload();
}
