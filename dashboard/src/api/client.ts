/**
 * The one way to the API. Which paths and verbs there are says the OpenAPI document, to the compiler already; what is
 * sent and answered has the types of `types.ts`. Every failure is an ApiError; the network's is one with status 0.
 */
import { connection } from './connection';
import type { Method, PathOf } from './paths';

export interface Problem {
  status: number;
  reason: string;
  detail: string;
  fields: Record<string, string>;
  requestId: string;
}

export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail || problem.reason);
    this.name = 'ApiError';
    this.problem = problem;
  }

  get status(): number {
    return this.problem.status;
  }

  get reason(): string {
    return this.problem.reason;
  }
}

let csrfToken: string | null = null;
let onSignedOut: () => void = () => undefined;
let isOurSession: () => Promise<boolean> = () => Promise.resolve(false);

/** The token that proves to the gateway that a request with the cookie was made by this page. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

/** What is done when the gateway says that nobody is signed in. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

/** What is asked when the cookie is not of the session that this page knows: whether there is one of the same person. */
export function whenSessionIsAnother(ask: () => Promise<boolean>): void {
  isOurSession = ask;
}

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Answers of a gateway or a proxy that is being started anew, not of the application. */
const AWAY = new Set([502, 503, 504]);

export async function send(request: Request): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    connection.lost();
    throw new ApiError({ status: 0, reason: 'CONNECTION_LOST', detail: '', fields: {}, requestId: '' });
  }
  if (AWAY.has(response.status)) connection.doubt();
  else connection.seen();
  return response;
}

async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {};
  try {
    body = (await response.clone().json()) as Record<string, unknown>;
  } catch {
    // A proxy's page, or nothing at all: the status has to do.
  }
  return {
    status: response.status,
    reason: typeof body.reason === 'string' ? body.reason : `HTTP_${response.status}`,
    detail: typeof body.detail === 'string' ? body.detail : response.statusText,
    fields: (body.fields as Record<string, string> | undefined) ?? {},
    requestId: typeof body.request_id === 'string' ? body.request_id : '',
  };
}

async function checked(response: Response): Promise<Response> {
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === 401) onSignedOut();
  throw new ApiError(problem);
}

function proven(request: Request): Request {
  if (csrfToken !== null && !SAFE.has(request.method)) request.headers.set('X-CSRF-Token', csrfToken);
  return request;
}

export interface RequestOptions {
  query?: Record<string, string | number | boolean | undefined | null | readonly string[]>;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export function addressOf(path: string, query: RequestOptions['query'] = {}): string {
  const url = new URL(`/api/v1${path}`, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null || value === '') continue;
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one));
  }
  return url.href;
}

type Call = { [M in Method]: [method: M, path: PathOf<M>, options?: RequestOptions] }[Method];

/** Any call below /api/v1 with JSON in and out; `undefined` for an answer without a body. */
export async function request<T>(...[method, path, options = {}]: Call): Promise<T> {
  const headers: Record<string, string> = { ...options.headers };
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  const once = async () => {
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const made = new Request(addressOf(path, options.query), { method, headers, body, signal: options.signal });
    return checked(await send(proven(made)));
  };
  const response = await once().catch(async (error: unknown) => {
    if (error instanceof ApiError && error.reason === 'CSRF_REFUSED' && (await isOurSession())) return once();
    throw error;
  });
  const text = await response.text();
  return (text === '' ? undefined : JSON.parse(text)) as T;
}

/** A key for a POST that starts something, made once for each thing that a person asks for. */
export function newIdempotencyKey(): string {
  return crypto.randomUUID === undefined ? fallbackKey() : crypto.randomUUID();
}

/** randomUUID needs a secure context, and a dashboard in a closed network may be plain http. */
function fallbackKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export interface PageOf<T> {
  items: T[];
  next_page_token: string | null;
}

/** All pages of a list, one after the other; `onPage` is told what is there so far. */
export async function allPages<T>(
  path: PathOf<'GET'>,
  query: RequestOptions['query'],
  signal?: AbortSignal,
  onPage?: (soFar: T[]) => void,
): Promise<T[]> {
  const items: T[] = [];
  let token: string | null = '';
  while (token !== null) {
    const page: PageOf<T> = await request('GET', path, {
      query: { page_size: 1000, ...query, page_token: token },
      signal,
    });
    items.push(...page.items);
    token = page.next_page_token;
    if (token !== null) onPage?.(items);
  }
  return items;
}
