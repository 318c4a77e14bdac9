/** Small choices that this browser keeps; one that keeps nothing forgets them with the visit. */

export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // It is chosen for this visit then.
  }
}
