/** Copies the contracts into the package before it is packed, and removes the copy after. */
import { cp, rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const copy = fileURLToPath(new URL("../wit/", import.meta.url));
const source = fileURLToPath(new URL("../../../wit/", import.meta.url));

await rm(copy, { recursive: true, force: true });
if (process.argv[2] === "copy") await cp(source, copy, { recursive: true });
