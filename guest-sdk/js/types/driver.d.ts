/** Model drivers: the translation between Everwit's chat language and one vendor's HTTP protocol. */
import type { Schema } from "./index.js";

/** What a completion is configured with. A credential that `credentials` names is a placeholder. */
export interface DriverConfig {
  /** API key, or the token that the exchange gave. */
  apiKey: string | null;
  /** Base URL without a slash at its end. */
  baseUrl: string | null;
  refreshToken: string | null;
  accountId: string | null;
  /** Vendor-specific values. */
  extra: any;
  /** A URL below the base URL; the path begins with a slash. Throws if there is no base URL. */
  url(path: string): string;
  /** The value of an authorization header. Throws if there is no API key. */
  bearer(): string;
}

/** Content of a message or of a tool's result. */
export type ChatPart =
  | { type: "text"; text: string }
  | { type: "data"; text: string }
  | { type: "blob"; mediaType: string; data: Uint8Array }
  | { type: "link"; uri: string; name: string; mediaType: string | null }
  | { type: "other"; kind: string; body: unknown };

/** One block of a message. `opaque` is what the driver gave with it, and goes back unchanged. */
export type ChatBlock =
  | ChatPart
  | { type: "tool-call"; id: string; name: string; arguments: Record<string, unknown>; opaque: string | null }
  | { type: "tool-result"; id: string; failed: boolean; parts: ChatPart[] }
  | { type: "reasoning"; text: string; opaque: string | null };

/** One completion request. */
export interface ChatRequest {
  model: string;
  instructions: string | null;
  /** Oldest first. */
  messages: { role: "system" | "user" | "assistant" | "tool"; blocks: ChatBlock[] }[];
  tools: { name: string; description: string; input: Schema }[];
  /** "auto", "none", "required" or "tool:<name>". */
  toolChoice: string;
  temperature: number | null;
  maxOutputTokens: number | null;
  stop: string[];
  effort: string | null;
  responseFormat: { name: string; schema: Schema; strict: boolean } | null;
  /** Opaque text that is the same for all requests of one conversation, if caching is wished for. */
  promptCacheKey: string | null;
  metadata: Record<string, string>;
  /** Valid against the driver's `options`. */
  options: any;
}

/** A request to the origin of the base URL. */
export interface DriverRequest {
  url: string;
  /** POST with a body, GET without one. */
  method?: string;
  headers?: Record<string, string>;
  body?: string | Uint8Array | ArrayBuffer;
  /** A body of JSON, with its content type. */
  json?: unknown;
}

/** Something that happened in a completion; made by `event`. */
export interface ChatEvent {
  readonly tag: string;
}

/** Token counts; the input without what came from or went into a cache. */
export interface TokenCounts {
  inputTokens: number;
  outputTokens: number;
  cacheReadTokens?: number | null;
  cacheWriteTokens?: number | null;
  reasoningTokens?: number | null;
}

/** Makers of events. */
export const event: {
  text(text: string): ChatEvent;
  /** `opaque` belongs to the text since the last one, and ends the block. */
  reasoning(text: string, opaque?: string | null): ChatEvent;
  /** `index` counts the calls of an answer from 0; `id` may be empty. */
  toolCallStart(index: number, id: string, name: string): ChatEvent;
  toolCallDelta(index: number, text: string): ChatEvent;
  toolCallEnd(index: number, opaque?: string | null): ChatEvent;
  usage(counts: TokenCounts): ChatEvent;
  /** "stop", "tool-calls", "length", "content-filter" or the vendor's word. */
  finish(reason: string, more?: { responseId?: string | null }): ChatEvent;
};

/** One completion: its request, and how its answer is read. */
export interface Completion {
  request: DriverRequest;
  /** How the host cuts the body; throw what the status means. */
  onHead(head: { status: number; headers: Record<string, string> }): "sse" | "json-lines" | "whole" | "bytes";
  /** One server-sent event. */
  onSse?(frame: { event: string; data: string; id: string }): ChatEvent[];
  /** One line, the whole body, or a piece of it. */
  onBytes?(frame: Uint8Array): ChatEvent[];
  /** The body has ended; throw `incomplete()` if the answer is not complete. */
  onEnd(): ChatEvent[] | void;
}

/** A model that a provider offers. */
export interface DriverModel {
  id: string;
  title?: string;
  contextTokens?: number | null;
  outputTokens?: number | null;
  features?: readonly string[];
  extra?: Record<string, string>;
}

/** A driver. */
export interface DriverDefinition {
  /** Lower-case words joined by "-" or "_", at most 64 bytes. */
  id: string;
  title: string;
  version: string;
  summary: string;
  /** JSON Schema of `request.options`; none are accepted if absent. */
  options?: Schema;
  /** Credentials that the host puts into requests, and where: the driver gets placeholders. */
  credentials?: readonly {
    name: "api-key" | "refresh-token" | "account-id";
    title?: string;
    place: `header:${string}` | `query:${string}` | "body";
    /** Whether the driver cannot work without it; true if absent. */
    required?: boolean;
  }[];
  /** Base URL if a provider configures none. */
  defaultBaseUrl?: string;
  /** Models known without asking. */
  models?: readonly DriverModel[];
  extra?: Record<string, string>;
  /** Begins a completion. One instance serves one, so state lives in what this returns. */
  complete(config: DriverConfig, request: ChatRequest): Completion;
  /** Asks the vendor which models there are. Export `discovery` then. */
  discovery?: { begin(config: DriverConfig): DriverRequest; decode(status: number, body: Uint8Array): DriverModel[] };
  /** Exchanges stored credentials for an access token. Export `tokenExchange` then. */
  tokenExchange?: {
    begin(config: DriverConfig): DriverRequest;
    decode(status: number, body: Uint8Array): { token: string; expiresInMs?: number | null; refreshToken?: string | null };
  };
}

/** What a driver component exports. */
export interface DriverExports {
  meta: object;
  codec: object;
  discovery: object;
  tokenExchange: object;
}

/** Declares the driver that this module is: `export const { meta, codec } = driver({ … })`. */
export function driver(definition: DriverDefinition): DriverExports;

/** The JSON value of a frame; throws a failure with the code "invalid_response". */
export function parseJson(data: Uint8Array | string): any;

/** The failure of a completion whose body ended before its answer did. */
export function incomplete(): Error;

/** The failure that an HTTP status other than 2xx means, with the vendor's words. */
export function refusal(status: number, message: string): Error;
