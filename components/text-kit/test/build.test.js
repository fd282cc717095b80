import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const MIB = 1024 * 1024;

test("the component can only log", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "text-kit-"));
  try {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const build = path.join(root, "node_modules/.bin/everwit-guest-build");
    const { stdout } = await promisify(execFile)(build, [root, "--out", path.join(folder, "text-kit.wasm"), "--json"]);
    const { bytes, imports, exports } = JSON.parse(stdout);
    assert.deepEqual(imports, ["everwit:host/log@1.0.0"]);
    assert.deepEqual(exports, ["describe", "tools"]);
    assert.ok(bytes < 3 * MIB, `${bytes} bytes`);
  } finally {
    await rm(folder, { recursive: true });
  }
});
