import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import { resolveBinaries, resolveBinary } from "./binaries.ts";
import { fetchFromDebian } from "./debian.ts";
import { findProgram } from "./find-program.ts";

let cacheDir: string;
beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), "stampyard-cache-test-"));
  chmodSync(cacheDir, 0o755);
});
afterEach(() => {
  delete process.env["STAMPYARD_REDIS_SERVER"];
  rmSync(cacheDir, { recursive: true, force: true });
});

function fakeServer(name: string, says: string): string {
  const path = join(cacheDir, name);
  writeFileSync(path, `#!/bin/sh\necho '${says}'\n`, { mode: 0o755 });
  return path;
}

test("resolveBinary() takes the named program when it is new enough, and says why when it is not", async () => {
  const good = fakeServer("redis-server", "Redis server v=7.2.5 sha=00000000:0 malloc=libc bits=64");
  process.env["STAMPYARD_REDIS_SERVER"] = good;
  expect(await resolveBinary("redis", { cacheDir })).toMatchObject({
    path: good,
    version: "7.2.5",
    source: "environment",
  });
  const old = fakeServer("old-server", "Redis server v=5.0.7 sha=00000000:0");
  process.env["STAMPYARD_REDIS_SERVER"] = old;
  await expect(resolveBinary("redis", { cacheDir })).rejects.toMatchObject({
    code: "BINARY_MISSING",
    message: expect.stringContaining(old),
  });
});

test("resolveBinaries() with lookOnly answers for every server and downloads nothing", async () => {
  const answers = await resolveBinaries({ cacheDir, lookOnly: true });
  expect(answers.map(({ kind }) => kind)).toEqual(["postgres", "redis", "nats"]);
  expect(existsSync(join(cacheDir, "redis-debian"))).toBe(false);
});

test("resolveBinary() unpacks PostgreSQL once, with its library links, also when asked twice at once", async () => {
  const [a, b] = await Promise.all([resolveBinary("postgres", { cacheDir }), resolveBinary("postgres", { cacheDir })]);
  expect(a).toEqual(b);
  const lib = join(a.path, "../../lib");
  expect(existsSync(join(lib, process.platform === "darwin" ? "libicuuc.dylib" : "libicuuc.so"))).toBe(true);
});

test.runIf(findProgram(["apt-get"]).length > 0)(
  "fetchFromDebian() unpacks packages privately, once for two at once",
  async () => {
    const said: string[] = [];
    const program = "usr/share/doc/liblzf1/copyright";
    const wish = {
      name: "lzf",
      packages: ["liblzf1"],
      program,
      install: "liblzf1",
      cacheDir,
      progress: (text: string) => said.push(text),
    };
    const [a, b] = await Promise.all([fetchFromDebian(wish), fetchFromDebian(wish)]);
    expect(a).toEqual(b);
    expect(a.kind === "found" && readFileSync(a.path, "utf8").length).toBeGreaterThan(100);
    expect(said.filter((text) => text.startsWith("fetching"))).toHaveLength(1);
    const none = await fetchFromDebian({ ...wish, name: "none", packages: ["stampyard-no-such-package"] });
    expect(none).toMatchObject({ kind: "none", why: expect.stringContaining("apt-get download failed") });
  },
);
