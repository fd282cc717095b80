/** A stand-in for the host, to test capabilities in Node without building them. */
import type { DriverExports } from "./driver.js";
import type { Context, Exports } from "./index.js";
import type { FailureRecord, PartRecord, RequestRecord } from "./wit.js";

/** An answer of the stand-in's HTTP. */
export interface FakeResponse {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array | unknown;
}

/** What the stand-in is told and what it saw. */
export interface FakeHost {
  /** Log lines, oldest first. */
  logs: { level: string; message: string; fields: Record<string, string> }[];
  /** Progress reports. */
  progress: { done: number; total: number | null; note: string | null }[];
  /** Emitted parts. */
  emitted: PartRecord[];
  /** Why to stop; null goes on. */
  stop: "cancelled" | "deadline" | null;
  /** Milliseconds left. */
  remainingMs: number;
  /** Both clocks, in milliseconds. */
  nowMs: number;
  /** Seed of the stand-in's random numbers. */
  seed: number;
  /** Stored values: bucket → key → entry. A bucket that is not there is denied. */
  kv: Record<string, Map<string, { value: Uint8Array; version: number }>>;
  /** Access to the session's files. */
  fileAccess: "none" | "read" | "write";
  /** The session's files: path from the root → content. */
  files: Record<string, Uint8Array>;
  /** Tokens of secrets by name; others are unavailable. */
  secrets: Record<string, string>;
  /** Answers requests; throw a fault `{ kind, message }` to fail one. */
  http(request: RequestRecord): FakeResponse;
  /** Requests that were sent. */
  requests: RequestRecord[];
  /** Back to the beginning. */
  reset(): void;
}

export const host: FakeHost;

/** What a call came to. */
export type Outcome =
  | { ok: true; text: string; parts: PartRecord[]; structured: any }
  | { ok: false; failure: FailureRecord };

/** Calls a tool as the host would, except that native promises work. */
export function invoke(exports: Pick<Exports, "tools">, tool: string, args?: object, context?: Partial<Context>): Promise<Outcome>;

/** What a completion of a driver came to. */
export interface CompletionOutcome {
  method?: string;
  url?: string;
  headers?: Record<string, string>;
  /** The body's JSON value if it says that it is JSON, its text otherwise. */
  body?: any;
  framing?: "sse" | "json-lines" | "whole" | "bytes";
  /** The contract's event records. */
  events: { tag: string; val: any }[];
  failure?: FailureRecord;
}

/** Runs one completion of a driver as the host would, on frames of its framing. */
export function complete(
  exports: Pick<DriverExports, "codec">,
  config: { apiKey?: string; baseUrl?: string; refreshToken?: string; accountId?: string; extra?: unknown },
  request: object,
  head: { status: number; headers?: Record<string, string> },
  frames: ({ data: string; event?: string; id?: string } | Uint8Array)[],
): CompletionOutcome;

/** The contract's request record with everything that is left out. */
export function requestRecord(request: object): object;
