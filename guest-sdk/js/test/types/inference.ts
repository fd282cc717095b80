/** Checked by the compiler only: what the types must accept and refuse. */
import { capability, fetch, kv, part, output, tool } from "@everwit/guest";

tool({
  description: "infers its arguments",
  input: {
    type: "object",
    properties: {
      text: { type: "string" },
      limit: { type: "integer" },
      mode: { enum: ["fast", "exact"] },
      tags: { type: "array", items: { type: "string" } },
      nested: { type: "object", properties: { on: { type: "boolean" } }, required: ["on"] },
    },
    required: ["text", "nested"],
  },
  run: ({ text, limit, mode, tags, nested }, context) => {
    const upper: string = text.toUpperCase();
    const exact: "fast" | "exact" | undefined = mode;
    const on: boolean = nested.on;
    // @ts-expect-error: not required, so it may be absent
    const certain: number = limit;
    // @ts-expect-error: not a number
    const wrong: number = text;
    const id: string = context.idempotencyKey;
    return { upper, exact, on, certain, wrong, id, tags: tags?.map((tag) => tag.length) };
  },
});

// @ts-expect-error: an effect that does not exist
tool({ description: "d", effects: ["harmless"], run: () => "" });

// @ts-expect-error: no version
capability({ id: "x", title: "X", summary: "s" });

// @ts-expect-error: a part is a string or made by `part`
output({ parts: [{ tag: "text" }] });

export const accepted = [
  output({ parts: ["a", part.blob("image/png", new Uint8Array(1))], structured: 1 }),
  fetch("https://example.com", { query: { a: [1, 2] }, json: {} }).ensureOk().json(),
  kv.bucket("notes").update("count", (count: number | null) => (count ?? 0) + 1),
];
