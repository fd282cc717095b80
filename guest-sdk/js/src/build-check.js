/**
 * Checks at build time, inside the engine, that what a module exports and imports fits what
 * its capability defines and asks for.
 */
import { definedExports } from "./capability.js";

/** Interfaces that a permission stands behind, and how to tell whether it is asked for. */
const PERMITTED = {
  "everwit:http/client": { key: "http", use: "fetch" },
  "everwit:kv/store": { key: "kv", use: "kv" },
  "everwit:files/store": { key: "files", use: "files" },
  "everwit:secrets/store": { key: "secrets", use: "secrets" },
};

/** What a driver may import; none of it reaches anything. */
const DRIVER_IMPORTS = ["everwit:host/log", "everwit:host/clock", "everwit:host/random"];

/**
 * @param {Record<string, any>} guest the module's exports
 * @param {string[]} imports the interfaces that it imports, without versions
 */
export function checkModule(guest, imports) {
  const isDriver = definedExports.includes("codec");
  const maker = isDriver ? "driver()" : "capability()";
  const problems = definedExports
    .filter((name) => guest[name] === undefined)
    .map((name) => `export "${name}" of what ${maker} returns: the definition has it`);
  if (isDriver) {
    const powers = imports.filter((name) => name.startsWith("everwit:") && !DRIVER_IMPORTS.includes(name));
    problems.push(...powers.map((name) => `a driver cannot use ${name}: it translates, and the host talks`));
    if (problems.length > 0) throw new TypeError(`this driver cannot be built:\n- ${problems.join("\n- ")}`);
    return;
  }
  const asked = guest.describe?.describe().permissions ?? {};
  for (const [name, { key, use }] of Object.entries(PERMITTED)) {
    const imported = imports.includes(name);
    const granted = asked[key]?.length > 0 && asked[key] !== "none";
    if (imported && !granted) problems.push(`"${use}" is used, but permissions.${key} asks for nothing: every use would be denied`);
    if (granted && !imported) problems.push(`permissions.${key} asks for access, but "${use}" is not used: remove the permission`);
  }
  if (problems.length > 0) throw new TypeError(`this capability cannot be built:\n- ${problems.join("\n- ")}`);
}
