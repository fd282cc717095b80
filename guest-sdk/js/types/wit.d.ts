/** The contract's records and host interfaces as the engine shows them to JavaScript. */

export type Bag = [string, string][];
export type Level = "trace" | "debug" | "info" | "warn" | "error";
export type Stop = "cancelled" | "deadline";

export interface ContextRecord {
  org: string;
  session: string;
  turn: string;
  idempotencyKey: string;
  config: string;
  locale: string | null;
  extra: Bag;
}

export type PartRecord =
  | { tag: "text"; val: string }
  | { tag: "data"; val: string }
  | { tag: "blob"; val: { mediaType: string; data: Uint8Array } }
  | { tag: "link"; val: { uri: string; name: string; mediaType: string | null } }
  | { tag: "other"; val: { kind: string; body: string } };

export interface OutputRecord {
  parts: PartRecord[];
  structured: string | null;
  extra: Bag;
}

export interface FailureRecord {
  kind: string;
  code: string;
  message: string;
  retryable: boolean;
  retryAfterMs: number | null;
  extra: Bag;
}

export interface RequestRecord {
  method: string;
  url: string;
  headers: [string, string][];
  body: Uint8Array;
  timeoutMs: number | null;
  extra: Bag;
}

export interface SseRecord {
  event: string;
  data: string;
  id: string;
}

export interface ResponseResource {
  head(): { status: number; headers: [string, string][]; retryAfterMs: number | null };
  read(max: number): Uint8Array | number[] | null;
  readSse(): SseRecord | null;
}
