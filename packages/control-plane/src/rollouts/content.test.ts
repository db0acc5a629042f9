import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Digest, Template } from "@stampyard/domain";
import { parseTemplate, releaseDigest } from "@stampyard/manifest";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemSha256 } from "../system-ports.ts";
import { openContents } from "./content.ts";

let dir: string;
let source: string;
let state: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-content-"));
  chmodSync(dir, 0o755);
  source = join(dir, "app");
  state = join(dir, "state");
  mkdirSync(join(source, "dist", "http"), { recursive: true });
  put("dist/api.js", "console.log(1)");
  put("dist/http/routes.js", "export {}");
  put("stamp.yaml", "apiVersion: stampyard.dev/v1alpha1\nkind: StampTemplate\n");
  put("fleet.yaml", "# ours\napiVersion: stampyard.dev/v1alpha1\nkind: Fleet\n");
  put("config.yaml", "apiVersion: v1\n");
  put("run.sh", "#!/bin/sh\n", 0o755);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function put(path: string, text: string, mode = 0o644): void {
  writeFileSync(join(source, path), text);
  chmodSync(join(source, path), mode);
}

function template(...components: string[]): Template {
  const text = `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: app, version: 1.0.0 }
components:
  api: { kind: service, command: node dist/api.js, port: auto }
${components.map((line) => `  ${line}`).join("\n")}
ingress: { service: api }
capacity: { tenants: 1 }
tenancy: { model: rows, column: tenant_id }
`;
  const parsed = parseTemplate(text, { file: "stamp.yaml" });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return parsed.template;
}

const keep = async () => {
  const contents = openContents(state);
  const content = await contents.keep(template(), source);
  if (content === undefined) throw new Error("Nothing was kept");
  return { content, at: contents.dirOf(content) };
};

test("keep() copies what commands run from: no manifests, no version control, no state, nothing that anybody can write", async () => {
  mkdirSync(join(source, ".git"));
  put(".git/HEAD", "ref");
  mkdirSync(join(source, "empty"));
  state = join(source, "state");
  mkdirSync(state, { mode: 0o711 });
  writeFileSync(join(state, "secret"), "x");
  const { content, at } = await keep();
  expect(at).toBe(join(state, "releases", content.slice("sha256:".length), "content"));
  expect(readdirSync(at, { recursive: true }).sort()).toEqual([
    "config.yaml",
    "dist",
    "dist/api.js",
    "dist/http",
    "dist/http/routes.js",
    "empty",
    "run.sh",
  ]);
  expect(readFileSync(join(at, "dist/api.js"), "utf8")).toBe("console.log(1)");
  expect(statSync(join(at, "run.sh")).mode & 0o777).toBe(0o555);
  expect(statSync(join(at, "dist/api.js")).mode & 0o777).toBe(0o444);
  expect(statSync(at).mode & 0o777).toBe(0o755);
  expect(readdirSync(join(state, "releases"))).toEqual([content.slice("sha256:".length)]);
});

test("keep() leaves out what .stampyardignore names: it is no part of the release", async () => {
  const { content } = await keep();
  put(".stampyardignore", "# ours\n*.log\n\n/backups/\ndist/*.map\nnotes.[x]\n");
  expect((await keep()).content).toBe(content);
  mkdirSync(join(source, "backups"));
  for (const path of ["a.log", "dist/b.log", "backups/c.js", "dist/d.map", "notes.[x]"]) put(path, "x");
  expect((await keep()).content).toBe(content);
  mkdirSync(join(source, "dist", "backups"));
  put("dist/backups/e.js", "x");
  put("d.map", "x");
  const { at, content: other } = await keep();
  expect(other).not.toBe(content);
  expect(readdirSync(at).sort()).toEqual(["config.yaml", "d.map", "dist", "run.sh"]);
  expect(readdirSync(join(at, "dist")).sort()).toEqual(["api.js", "backups", "http"]);
});

test("keep() of the same files is the same release, whatever their dates, umask and place; of others another", async () => {
  const contents = openContents(state);
  const { content } = await keep();
  expect(await contents.digest(template(), source)).toBe(content);
  chmodSync(join(source, "dist/api.js"), 0o664);
  put("fleet.yaml", "apiVersion: stampyard.dev/v1alpha1\nkind: Fleet\npools: {}\n");
  const clone = join(dir, "clone");
  renameSync(source, clone);
  expect(await contents.keep(template(), clone)).toBe(content);
  renameSync(clone, source);
  const changes: readonly (() => void)[] = [
    () => put("dist/api.js", "console.log(2)"),
    () => put("dist/api.js", "console.log(1)", 0o755),
    () => renameSync(join(source, "dist/api.js"), join(source, "dist/API.js")),
    () => put("dist/more.js", ""),
    () => mkdirSync(join(source, "dist/folder")),
    () => symlinkSync("more.js", join(source, "dist/link.js")),
    () => rmSync(join(source, "run.sh")),
    () => put("config.yaml", "apiVersion: v2\n"),
  ];
  const seen = new Set([content]);
  for (const [index, change] of changes.entries()) {
    change();
    const next = await contents.digest(template(), source);
    expect(seen.has(next ?? content), `change ${index}`).toBe(false);
    if (next !== undefined) seen.add(next);
  }
});

test("keep() leaves what was kept alone when its source changes, and finds a lost one again (I37)", async () => {
  const first = await keep();
  put("dist/api.js", "console.log(2)");
  const second = await keep();
  expect(second.at).not.toBe(first.at);
  expect(readFileSync(join(first.at, "dist/api.js"), "utf8")).toBe("console.log(1)");
  put("dist/api.js", "console.log(1)");
  rmSync(dirname(first.at), { recursive: true });
  expect((await keep()).at).toBe(first.at);
  expect(readFileSync(join(first.at, "dist/api.js"), "utf8")).toBe("console.log(1)");
});

test("keep() keeps links that stay inside, forgets those to nothing, and refuses those that lead out", async () => {
  symlinkSync("../run.sh", join(source, "dist/run"));
  symlinkSync(join(source, "run.sh"), join(source, "dist/absolute"));
  symlinkSync("someone@host.17", join(source, ".#editor"));
  const { at } = await keep();
  expect(readlinkSync(join(at, "dist/run"))).toBe("../run.sh");
  expect(readlinkSync(join(at, "dist/absolute"))).toBe("../run.sh");
  expect(existsSync(join(at, "dist/absolute"))).toBe(true);
  expect(readdirSync(at)).not.toContain(".#editor");
  writeFileSync(join(dir, "outside"), "x");
  symlinkSync("../../outside", join(source, "dist/out"));
  await expect(keep()).rejects.toMatchObject({
    code: "INVALID_MANIFEST",
    message: expect.stringContaining("The link dist/out leads out"),
  });
});

test("keep() links packages, so that programs find them, and makes their lock file part of the release", async () => {
  const install = (place: string, name: string, text: string) => {
    mkdirSync(join(place, "node_modules", name), { recursive: true });
    writeFileSync(
      join(place, "node_modules", name, "package.json"),
      JSON.stringify({ name, main: "index.js", version: "1.0.0" }),
    );
    writeFileSync(join(place, "node_modules", name, "index.js"), `module.exports = ${JSON.stringify(text)}`);
  };
  install(dir, "far", "far");
  install(source, "near", "near");
  writeFileSync(join(dir, "package-lock.json"), "1");
  put("dist/api.js", 'console.log(require("near"), require("far"))');
  const { content, at } = await keep();
  const run = () => execFileSync(process.execPath, ["dist/api.js"], { cwd: at, encoding: "utf8" });
  expect(run()).toBe("near far\n");
  expect(lstatSync(join(at, "node_modules")).isSymbolicLink()).toBe(true);
  // The same files from another clone, and the first one gone.
  const clone = join(dir, "elsewhere");
  mkdirSync(clone);
  for (const name of ["app", "node_modules", "package-lock.json"]) renameSync(join(dir, name), join(clone, name));
  chmodSync(clone, 0o755);
  expect(await openContents(state).keep(template(), join(clone, "app"))).toBe(content);
  expect(run()).toBe("near far\n");
  writeFileSync(join(clone, "package-lock.json"), "2");
  expect(await openContents(state).digest(template(), join(clone, "app"))).not.toBe(content);
});

test("keep() refuses what is too large, naming the largest part, a missing folder, and a workdir outside", async () => {
  put("dist/data.bin", "x".repeat(5_000));
  const contents = openContents(state, { bytes: 4_000, files: 100 });
  await expect(contents.keep(template(), source)).rejects.toMatchObject({
    code: "PAYLOAD_TOO_LARGE",
    message: expect.stringContaining("most of it in dist"),
  });
  await expect(openContents(state, { bytes: 10_000, files: 2 }).digest(template(), source)).rejects.toMatchObject({
    code: "PAYLOAD_TOO_LARGE",
  });
  await expect(contents.keep(template(), join(dir, "nowhere"))).rejects.toMatchObject({ code: "INVALID_MANIFEST" });
  const outside = template("out: { kind: service, command: node x.js, workdir: dist/../../other }");
  await expect(contents.keep(outside, source)).rejects.toMatchObject({
    code: "INVALID_MANIFEST",
    message: expect.stringContaining("Component out starts in dist/../../other"),
  });
  expect(existsSync(join(state, "releases"))).toBe(false);
});

test("keep() keeps nothing of a template that runs no files of this machine, and its release is what it was", async () => {
  const images = { ...template(), stages: [] };
  expect(await openContents(state).keep(images, "/nowhere")).toBeUndefined();
  expect(releaseDigest(images, systemSha256, undefined)).toBe(releaseDigest(images, systemSha256));
  const { content } = await keep();
  expect(releaseDigest(template(), systemSha256, content)).not.toBe(releaseDigest(template(), systemSha256));
});

test("keep() asked for at once by many keeps one copy, and sweeps what a killed one left", async () => {
  mkdirSync(join(state, "releases", ".draft-999999-ab", "content"), { recursive: true });
  const kept = await Promise.all(Array.from({ length: 6 }, keep));
  expect(new Set(kept.map(({ content }) => content)).size).toBe(1);
  expect(readdirSync(join(state, "releases"))).toEqual([kept[0]?.content.slice("sha256:".length)]);
});

test("keep() of a folder that is written meanwhile has the digest of what it holds", async () => {
  for (let round = 0; round < 5; round++) {
    let ended = false;
    const writing = (async () => {
      while (!ended) {
        put("dist/api.js", randomBytes(40_000).toString("hex"));
        await new Promise((settle) => setImmediate(settle));
      }
    })();
    const { content, at } = await keep();
    ended = true;
    await writing;
    expect(await openContents(state).digest(template(), at)).toBe(content);
  }
});

test("keep() of a folder that stamps cannot enter stays closed to them", async () => {
  chmodSync(source, 0o700);
  const closed = await keep();
  expect(statSync(dirname(closed.at)).mode & 0o777).toBe(0o700);
  chmodSync(source, 0o755);
  await keep();
  expect(statSync(dirname(closed.at)).mode & 0o777).toBe(0o755);
});

test.runIf(process.getuid?.() === 0)("keep() is outside of a state directory that stamps cannot enter", async () => {
  mkdirSync(state, { mode: 0o700 });
  const { at } = await keep();
  try {
    expect(at).toMatch(/^\/var\/lib\/stampyard\/releases\/[0-9a-f]{16}\//);
    expect(statSync(dirname(at)).mode & 0o777).toBe(0o755);
  } finally {
    rmSync(dirname(dirname(at)), { recursive: true, force: true });
  }
});

test("prune() removes what nobody wants, not what is wanted, new, held or kept again (I37)", async () => {
  const hour = 60 * 60_000;
  const contents = openContents(state);
  const versions: Digest[] = [];
  for (const text of ["1", "2", "3", "4"]) {
    put("dist/api.js", `console.log(${text})`);
    versions.push((await keep()).content);
  }
  const [wanted, again, held, old] = versions as [Digest, Digest, Digest, Digest];
  const kept = () => versions.map((content) => contents.has(content));
  expect(await contents.prune(new Set(), Date.now() + hour - 1_000), "new").toEqual([]);
  // Nobody asked for them for long; files in there are older still.
  const longAgo = new Date(Date.now() - 2 * hour);
  for (const content of versions) utimesSync(dirname(contents.dirOf(content)), longAgo, longAgo);
  put("dist/api.js", "console.log(2)");
  await keep();
  expect(await contents.hold(held)).toBe(true);
  expect(await contents.prune(new Set([wanted]), Date.now())).toEqual([old]);
  expect(kept()).toEqual([true, true, true, false]);
  expect(await contents.hold(old)).toBe(false);
  expect(readdirSync(join(state, "releases")).filter((name) => name.startsWith("."))).toEqual([]);
  expect(await contents.prune(new Set([wanted]), Date.now() + hour + 1_000)).toEqual([again, held].sort());
  put("dist/api.js", "console.log(4)");
  expect((await keep()).content, "kept once more from the same files").toBe(old);
  expect(kept()).toEqual([true, false, false, true]);
});

test("the notes example runs from its kept copy", async () => {
  const notes = fileURLToPath(new URL("../../../../examples/notes", import.meta.url));
  const contents = openContents(state);
  const content = await contents.keep(template(), notes);
  if (content === undefined) throw new Error("Nothing was kept");
  const at = contents.dirOf(content);
  const program = `import("./dist/pool.js").then(() => import("@stampyard/guard")).then(() => console.log("found"))`;
  expect(execFileSync(process.execPath, ["-e", program], { cwd: at, encoding: "utf8" })).toBe("found\n");
});
