/** The host interfaces as modules. Functions with an error case throw its value. */

declare module "everwit:host/log@1.0.0" {
  const log: {
    write(level: import("./wit.js").Level, message: string, fields: [string, string][]): void;
    panicked(message: string): void;
  };
  export default log;
}

declare module "everwit:host/call@1.0.0" {
  const call: {
    remainingMs(): number;
    stopped(): import("./wit.js").Stop | null;
    progress(done: number, total: number | null, note: string | null): void;
    emit(parts: import("./wit.js").PartRecord[]): void;
  };
  export default call;
}

declare module "everwit:host/clock@1.0.0" {
  const clock: { nowMs(): number; monotonicMs(): number };
  export default clock;
}

declare module "everwit:host/random@1.0.0" {
  const random: { bytes(count: number): Uint8Array | number[]; number(): number };
  export default random;
}

declare module "everwit:kv/store@1.0.0" {
  const store: {
    get(bucket: string, key: string): { value: Uint8Array | number[]; version: number } | null;
    put(bucket: string, key: string, value: Uint8Array, expected: number | null): number;
    remove(bucket: string, key: string, expected: number | null): void;
    keys(bucket: string, prefix: string, after: string | null, limit: number): string[];
  };
  export default store;
}

declare module "everwit:files/store@1.0.0" {
  type Entry = import("./index.js").FileEntry;
  const store: {
    read(path: string, offset: number, length: number | null): { bytes: Uint8Array | number[]; size: number; revision: string };
    stat(path: string): Entry | null;
    entries(directory: string, recursive: boolean, after: string | null, limit: number): { entries: Entry[]; more: boolean };
    write(path: string, content: Uint8Array, expected: string | null): string;
    remove(path: string): boolean;
  };
  export default store;
}

declare module "everwit:http/client@1.0.0" {
  const client: { send(request: import("./wit.js").RequestRecord): import("./wit.js").ResponseResource };
  export default client;
}

declare module "everwit:secrets/store@1.0.0" {
  const store: { open(name: string): { token(): string; audience(): string } };
  export default store;
}
