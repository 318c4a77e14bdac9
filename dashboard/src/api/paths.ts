import type { paths } from './schema';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** `/servers/{server}/check` as `/servers/${string}/check`. */
type Filled<P extends string> = P extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${string}${Filled<After>}`
  : P;

type Below<P> = P extends `/api/v1${infer Rest}` ? Filled<Rest> : never;

/** The paths below /api/v1 that take a verb, as the OpenAPI document has them. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<Lowercase<M>, object> ? Below<P> : never;
}[keyof paths];

/** The same without the slash that they begin with. */
export type NounOf<M extends Method> = PathOf<M> extends infer P ? (P extends `/${infer Noun}` ? Noun : never) : never;
