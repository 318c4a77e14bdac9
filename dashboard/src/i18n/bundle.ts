/** Turns what a glob import gives (path -> JSON) into namespaces by the files' names. */
export type Texts = Record<string, Record<string, unknown>>;

export function bundle(modules: Record<string, unknown>): Texts {
  return Object.fromEntries(
    Object.entries(modules).map(([path, texts]) => [
      path.replace(/^.*\/|\.json$/g, ''),
      texts as Record<string, unknown>,
    ]),
  );
}
