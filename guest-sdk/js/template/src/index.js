import { capability, Failure, tool } from "@everwit/guest";

export const { describe, tools } = capability({
  id: "{{name}}", title: "{{title}}", version: "0.1.0", summary: "Greets people.",
  tools: {
    greet: tool({
      description: "Greets somebody.",
      effects: ["read-only"],
      input: { type: "object", properties: { name: { type: "string", description: "Who is greeted" } }, required: ["name"] },
      run: ({ name }) => {
        if (name.trim() === "") throw new Failure("invalid-arguments", "name is empty: give one");
        return `Hello, ${name}!`;
      },
    }),
  },
});
