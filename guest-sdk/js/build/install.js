/**
 * Installs this package's own dependencies if they are missing. A folder of this repository
 * that uses the package by path gets a link to it, and npm does not look behind links.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

if (!existsSync(new URL("../node_modules/", import.meta.url))) {
  // npm is a script of its own on Windows, which only a shell starts.
  const { status } = spawnSync("npm", ["ci"], { cwd: root, stdio: "inherit", shell: process.platform === "win32" });
  process.exitCode = status ?? 1;
}
