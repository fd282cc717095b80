/** Everwit capabilities and model drivers in JavaScript and TypeScript. */

export * from "./driver.js";

/** A JSON Schema (2020-12). */
export type Schema = { readonly [keyword: string]: unknown };

/**
 * The type that a schema describes, as far as its common keywords say: `type`, `properties`,
 * `required`, `items`, `enum` and `const`. What they do not say is `unknown`.
 */
export type FromSchema<S> =
  S extends { readonly const: infer C } ? C
  : S extends { readonly enum: readonly (infer E)[] } ? E
  : S extends { readonly type: infer T } ? FromType<T, S>
  : unknown;

type FromType<T, S> =
  T extends readonly (infer Each)[] ? FromType<Each, S>
  : T extends "string" ? string
  : T extends "number" | "integer" ? number
  : T extends "boolean" ? boolean
  : T extends "null" ? null
  : T extends "array" ? (S extends { readonly items: infer I } ? FromSchema<I>[] : unknown[])
  : T extends "object" ? FromObject<S>
  : unknown;

type FromObject<S> = S extends { readonly properties: infer P }
  ? { [K in keyof P as K extends RequiredKeys<S> ? K : never]: FromSchema<P[K]> } & {
      [K in keyof P as K extends RequiredKeys<S> ? never : K]?: FromSchema<P[K]>;
    }
  : Record<string, unknown>;

type RequiredKeys<S> = S extends { readonly required: readonly (infer R)[] } ? R : never;

/** Circumstances of a call. */
export interface Context {
  /** Opaque id of the org, salted per component. */
  org: string;
  /** Opaque id of the session, salted likewise. */
  session: string;
  /** Opaque id of the turn, salted likewise. */
  turn: string;
  /** Same for every execution of the same tool call, also after a crash. */
  idempotencyKey: string;
  /** The agent's configuration of this capability, valid against `config`. */
  config: any;
  /** BCP 47 tag of the user's language, if known. */
  locale: string | null;
  /** Further values of later hosts. */
  extra: Record<string, string>;
}

/** What a tool may do to the world. Without any, its effects must not be repeated. */
export type Effect = "read-only" | "destructive" | "idempotent" | "open-world";

/** One callable tool. */
export interface ToolSpec<S extends Schema = Schema> {
  /** Short human-readable name, at most 128 bytes; made of the tool's name if absent. */
  title?: string;
  /** What it does and when to use it, for the model. At most 4 KiB. */
  description: string;
  /** Declared effects. */
  effects?: readonly Effect[];
  /** JSON Schema of the arguments object, at most 16 KiB; no arguments if absent. */
  input?: S;
  /** JSON Schema of the structured result, if the tool promises one. */
  output?: Schema;
  /** Further values for later hosts. */
  extra?: Record<string, string>;
  /**
   * Does the work. A string becomes one text part; anything else becomes one data part and the
   * structured result; `output()` chooses the parts. May be `async`. A thrown `Failure` is the
   * outcome, anything else thrown is an outcome of kind "internal".
   */
  run(args: FromSchema<S>, context: Context): unknown;
}

/** HTTP access that a capability asks for. */
export interface HttpPermission {
  /** Exact host name in lower case, or "*.example.com" for all its subdomains. */
  host: string;
  /** Methods; GET and HEAD if absent. */
  methods?: readonly string[];
  /** Only URLs whose path starts with this. */
  pathPrefix?: string;
  /** Why it is needed, for the person who decides. */
  reason?: string;
}

/** A secret that a capability asks for; it can use it, not read it. */
export interface SecretPermission {
  /** Name under which the capability opens it, kebab-case. */
  name: string;
  /** Human-readable title; made of the name if absent. */
  title?: string;
  /** The only host on which it may be used. */
  host: string;
  /** Where in the request it goes. */
  place: `header:${string}` | `query:${string}`;
  /** Whether the capability cannot work without it; true if absent. */
  required?: boolean;
}

/** Everything a capability asks for. */
export interface Permissions {
  /** HTTP hosts; a string asks for GET and HEAD on that host. */
  http?: readonly (string | HttpPermission)[];
  /** Secrets. */
  secrets?: readonly SecretPermission[];
  /** Access to the session's files; "none" if absent. */
  files?: "none" | "read" | "write";
  /** Names of key-value buckets. */
  kv?: readonly string[];
  /** Tools of other capabilities that it calls, as "capability/tool". */
  tools?: readonly string[];
  /** Further values for later hosts. */
  extra?: Record<string, string>;
}

/** A capability. */
export interface Definition {
  /** Id: lower-case words joined by "-", at most 64 bytes. */
  id: string;
  /** Human-readable name, at most 128 bytes. */
  title: string;
  /** Semantic version, for example "1.2.0". */
  version: string;
  /** What it is for, in one or two sentences. At most 1 KiB. */
  summary: string;
  /** Addition to the system prompt of agents that have it. At most 16 KiB. */
  instructions?: string;
  /** JSON Schema of its configuration; accepts anything if absent. */
  config?: Schema;
  /** Its tools by name: `[a-z][a-z0-9_]*`, at most 64 bytes; at most 128 tools. */
  tools?: Record<string, ToolSpec<any>>;
  /** Ids of capabilities that it needs beside it. */
  dependencies?: readonly string[];
  /** Flags for user interfaces. */
  features?: readonly string[];
  /** What it asks for. */
  permissions?: Permissions;
  /** Further values for later hosts. */
  extra?: Record<string, string>;
  /** Replaces `instructions` for one model call. Export `dynamicInstructions` too. */
  dynamicInstructions?(context: Context): string | null | undefined | Promise<string | null | undefined>;
  /** Says what is wrong with a configuration beyond its schema. Export `configValidation` too. */
  validateConfig?(config: any): readonly string[] | void | Promise<readonly string[] | void>;
  /** Throws if the capability cannot do its work right now. Export `health` too. */
  health?(context: Context): unknown;
}

/** The exports of a capability component. Export those that the definition gives rise to. */
export interface Exports {
  describe: object;
  tools: object;
  dynamicInstructions: object;
  configValidation: object;
  health: object;
}

/** Makes the exports of a capability component; throws a list of all problems of the definition. */
export function capability(definition: Definition): Exports;

/** Declares a tool, with the arguments of `run` typed by `input`. */
export function tool<const S extends Schema>(spec: ToolSpec<S>): ToolSpec<S>;

/** Kinds of failures that the host knows; others are treated as "internal". */
export type FailureKind =
  | "invalid-arguments" | "not-found" | "denied" | "rate-limited"
  | "upstream" | "timeout" | "conflict" | "internal" | (string & {});

/** Details of a failure. */
export interface FailureOptions {
  /** Stable machine-readable code, snake_case, at most 64 bytes; made of the kind if absent. */
  code?: string;
  /** Whether the same call can succeed later; false if absent. */
  retryable?: boolean;
  /** How long to wait before the next try, in milliseconds. */
  retryAfterMs?: number | null;
  /** Further values for later hosts. */
  extra?: Record<string, string>;
  /** What caused it; not shown to anybody. */
  cause?: unknown;
}

/** An expected failure of a tool call. */
export class Failure extends Error {
  /** `message` is one sentence for whoever called; the model may see it. At most 4 KiB. */
  constructor(kind: FailureKind, message: string, options?: FailureOptions);
  readonly kind: FailureKind;
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly extra: Record<string, string>;
}

declare const partBrand: unique symbol;
/** One piece of content, made by `part`. */
export interface Part {
  readonly [partBrand]: true;
}

declare const outputBrand: unique symbol;
/** Explicit output, made by `output`. */
export interface Output {
  readonly [outputBrand]: true;
}

/** Bytes in any form; a string stands for its UTF-8. */
export type BytesLike = string | ArrayBuffer | ArrayBufferView;

/** Makers of content parts. */
export const part: {
  /** Text. */
  text(value: unknown): Part;
  /** A JSON value. */
  data(value: unknown): Part;
  /** Inline bytes with their IANA media type. */
  blob(mediaType: string, bytes: BytesLike): Part;
  /** A reference that the receiver may fetch itself; the name is the URI if absent. */
  link(target: { uri: string; name?: string; mediaType?: string | null }): Part;
};

/** Output with explicit parts; `structured` is the same result for programs. */
export function output(value: { parts?: readonly (string | Part)[]; structured?: unknown }): Output;

/** Options of `fetch`. */
export interface FetchOptions {
  /** Method; GET, or POST if there is a body. */
  method?: string;
  /** Header fields; null and undefined values are left out. */
  headers?: Record<string, string | null | undefined> | readonly (readonly [string, string])[];
  /** Parameters to add to the URL; arrays repeat one, null and undefined are left out. */
  query?: Record<string, unknown>;
  /** The body. */
  body?: BytesLike | null;
  /** The body as a JSON value, instead of `body`; sets the content type. */
  json?: unknown;
  /** Time limit in milliseconds, within the call's own. */
  timeoutMs?: number;
}

/** Limits for reading a body. */
export interface ReadOptions {
  /** Most bytes to read; 2 MiB if absent. */
  maxBytes?: number;
}

/** Header fields; names in any case. */
export interface Headers extends Iterable<[string, string]> {
  /** The value of a field, or null; several are joined by ", ". */
  get(name: string): string | null;
  /** All values of a field. */
  getAll(name: string): string[];
  has(name: string): boolean;
}

/** One server-sent event. */
export interface ServerSentEvent {
  event: string;
  data: string;
  id: string;
}

/** A response. Its body can be read once, and every method waits by itself. */
export interface Response {
  readonly url: string;
  readonly status: number;
  /** Whether the status is 2xx. */
  readonly ok: boolean;
  readonly headers: Headers;
  /** How long the server asks to wait before the next try (`retry-after`), in milliseconds. */
  readonly retryAfterMs: number | null;
  bytes(options?: ReadOptions): Uint8Array;
  text(options?: ReadOptions): string;
  json(options?: ReadOptions): any;
  /** The body piece by piece. */
  chunks(): Generator<Uint8Array>;
  /** The body as server-sent events. */
  events(): Generator<ServerSentEvent>;
  /** Returns this response if its status is 2xx, and throws the failure that fits otherwise. */
  ensureOk(): Response;
}

/**
 * Sends a request through the host's gateway and waits for the head of the response. Needs
 * `permissions.http`. Redirects are not followed. Throws a `Failure` if there is no response.
 */
export function fetch(url: string | { toString(): string }, options?: FetchOptions): Response;

type Fields = Record<string, unknown>;
type StopReason = "cancelled" | "deadline";

/** The component's log; `console` writes to it too. */
export namespace log {
  function trace(message: unknown, fields?: Fields): void;
  function debug(message: unknown, fields?: Fields): void;
  function info(message: unknown, fields?: Fields): void;
  function warn(message: unknown, fields?: Fields): void;
  function error(message: unknown, fields?: Fields): void;
}

/** The call now running. */
export namespace call {
  /** Milliseconds of wall-clock time left. */
  function remainingMs(): number;
  /** Why to stop, or null to go on. */
  function stopped(): StopReason | null;
  /** Reports progress in units of your choice; returns why to stop, or null. */
  function progress(done: number, total?: number | null, note?: string | null): StopReason | null;
  /** Emits partial output at once; returns why to stop, or null. */
  function emit(...parts: (string | Part)[]): StopReason | null;
}

/** Time; `Date` uses it too. */
export namespace clock {
  /** Milliseconds since the Unix epoch, UTC. */
  function nowMs(): number;
  /** Milliseconds since an arbitrary point; never goes back. */
  function monotonicMs(): number;
}

/** Randomness from the host; `Math.random` and `crypto.randomUUID` use it too. */
export namespace random {
  function bytes(count: number): Uint8Array;
  /** A number in [0, 1). */
  function float(): number;
  /** A whole number from `min` to `max`, both included. */
  function integer(min: number, max: number): number;
  /** A random UUID (version 4). */
  function uuid(): string;
}

/** Condition of a write: 0 only if the key is absent, n only over version n. */
export interface WriteOptions {
  expected?: number | null;
}

/** One bucket of durable values. A key takes at most 512 bytes, a value 256 KiB. */
export interface Bucket {
  readonly name: string;
  /** The entry of a key, or null. */
  get(key: string): { value: Uint8Array; version: number } | null;
  getText(key: string): string | null;
  getJson(key: string): any;
  /** Writes a key and returns its new version. */
  put(key: string, value: BytesLike, options?: WriteOptions): number;
  putJson(key: string, value: unknown, options?: WriteOptions): number;
  /** Replaces a JSON value, again if somebody else wrote in between; returns the new value. */
  update<T>(key: string, change: (value: any) => T): T;
  remove(key: string, options?: WriteOptions): void;
  /** One page of keys in byte order, at most 1,000. */
  keys(options?: { prefix?: string; after?: string | null; limit?: number }): string[];
  /** All keys with a prefix. */
  allKeys(prefix?: string): Generator<string>;
}

/** Durable values. Needs `permissions.kv`. */
export namespace kv {
  function bucket(name: string): Bucket;
}

/** What is known about a file or a directory of the session. */
export interface FileEntry {
  /** From the root: `/a/b`. */
  path: string;
  directory: boolean;
  /** Whether tools are refused to change it. */
  readOnly: boolean;
  /** Bytes; 0 for directories. */
  size: number;
  /** The same for the same content; directories have none. */
  revision?: string | null;
  modifiedMs?: number | null;
}

/** The files of the session. Needs `permissions.files`: "read" or "write". A read-only tool changes none. */
export namespace files {
  /** The expected revision of a file that must be absent. */
  const ABSENT: "";
  /** A file, or a piece of it, with the size and the revision of the whole. */
  function read(path: string, options?: { offset?: number; length?: number | null }): { value: Uint8Array; size: number; revision: string };
  function readText(path: string): string;
  /** What is known about a path, or null. */
  function stat(path: string): FileEntry | null;
  /** What is in a directory, or anywhere below it, in the order of the paths. */
  function entries(directory?: string, options?: { recursive?: boolean }): Generator<FileEntry>;
  /** Writes a whole file and returns its revision; with `expected`, only over that one. */
  function write(path: string, content: BytesLike, options?: { expected?: string | null }): string;
  /** Removes a file or an empty directory, and says whether there was one. */
  function remove(path: string): boolean;
}

/** Secrets as handles. Needs `permissions.secrets`. */
export namespace secrets {
  /** Opens a secret; put its token where the grant says, and the host fills it in. */
  function open(name: string): { token(): string; audience(): string };
}
