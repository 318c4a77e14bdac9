/**
 * The policy of the page allows style sheets of our own and `<style>` elements that carry the nonce of this answer.
 * Mantine is told it; xterm makes its elements by itself and cannot be told, so every new one gets it here.
 */
export const nonce = document.querySelector('meta[name="csp-nonce"]')?.getAttribute('content') ?? '';

const create = document.createElement.bind(document);
document.createElement = ((name: string, options?: ElementCreationOptions) => {
  const element = create(name, options);
  if (element instanceof HTMLStyleElement) element.setAttribute('nonce', nonce);
  return element;
}) as typeof document.createElement;
