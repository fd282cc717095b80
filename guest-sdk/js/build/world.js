/**
 * Writes the world of one component: only the interfaces that its code imports and exports.
 * The componentizer makes a component import its whole world, used or not, and every import
 * of Everwit's contract is a power that somebody has to grant.
 */
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { tmpdir } from "node:os";
import path from "node:path";
import { EXPORTS } from "./bundle.js";

/** In the repository the contracts lie beside the SDKs, in the published package inside it. */
const WIT_PLACES = ["../../../wit/", "../wit/"].map((place) => fileURLToPath(new URL(place, import.meta.url)));

const PACKAGE = "everwit-build:component";
export const WORLD = "component";

/** The folder with Everwit's contracts. */
export function witFolder() {
  const found = WIT_PLACES.find((place) => existsSync(path.join(place, "capability.wit")));
  if (!found) throw new Error(`Everwit's WIT files are missing: looked for capability.wit in ${WIT_PLACES.join(" and ")}`);
  return found;
}

/**
 * Calls `action` with a temporary folder that holds the world and everything it refers to.
 * @template T
 * @param {import("./bundle.js").Bundle} bundle
 * @param {string[]} more folders with further WIT packages
 * @param {(folder: string) => Promise<T>} action
 * @returns {Promise<T>}
 */
export async function withWorld(bundle, more, action) {
  const contracts = witFolder();
  const main = await readFile(path.join(contracts, "capability.wit"), "utf8");
  const folder = await mkdtemp(path.join(tmpdir(), "everwit-guest-"));
  try {
    const deps = path.join(folder, "deps");
    await cp(path.join(contracts, "deps"), deps, { recursive: true });
    await cp(path.join(contracts, "capability.wit"), path.join(deps, "capability", "capability.wit"));
    for (const source of more) {
      for (const name of await readdir(source)) await cp(path.join(source, name), path.join(deps, name), { recursive: true });
    }
    await writeFile(path.join(folder, "component.wit"), worldText(bundle, versionOf(main)));
    return await action(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The text of the world.
 * @param {Pick<import("./bundle.js").Bundle, "imports" | "exports">} bundle
 * @param {string} version of the capability package
 */
export function worldText({ imports, exports }, version) {
  const lines = [
    ...imports.map((specifier) => `  import ${specifier};`),
    ...exports.map((name) => `  export ${EXPORTS[name]}@${version};`),
  ];
  return `package ${PACKAGE};\n\nworld ${WORLD} {\n${lines.join("\n")}\n}\n`;
}

/** @param {string} wit */
function versionOf(wit) {
  const version = /^package\s+everwit:capability@([^;\s]+);/m.exec(wit)?.[1];
  if (!version) throw new Error("capability.wit does not begin with the package everwit:capability and its version");
  return version;
}
