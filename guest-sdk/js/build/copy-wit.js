/**
 * Copies the contracts into the package. npm runs this before it packs the package and when
 * a folder of this repository installs it by path.
 */
import { cp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const copy = fileURLToPath(new URL("../wit/", import.meta.url));
const source = fileURLToPath(new URL("../../../wit/", import.meta.url));

if (existsSync(source)) {
  await rm(copy, { recursive: true, force: true });
  await cp(source, copy, { recursive: true });
}
