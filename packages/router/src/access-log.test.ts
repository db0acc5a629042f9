import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AccessEntry, lineOf, openAccessLog } from "./access-log.ts";
import { rotateBySize } from "./access-log-rotation.ts";
import { eventually } from "./test-bed/test-bed.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-log-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const entry = (path: string): AccessEntry => ({
  time: "2026-01-02T03:04:05.678Z",
  requestId: "r",
  method: "GET",
  path,
  status: 200,
  ms: 1.25,
});

test("lineOf() is one line of JSON that says what the entry says, whatever the path holds", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.option(fc.string(), { nil: undefined }), (path, reason) => {
      const made: AccessEntry = { ...entry(path), ...(reason === undefined ? {} : { reason }) };
      const line = lineOf(made);
      // One byte per character, or what is counted in characters would not be what is written.
      expect(Buffer.byteLength(line)).toBe(line.length);
      expect(line.indexOf("\n")).toBe(line.length - 1);
      expect(JSON.parse(line)).toEqual(made);
    }),
  );
});

test("lineOf() says where each request went, whatever the one before it did", () => {
  const pick = <T>(...values: readonly T[]) => fc.constantFrom(...values);
  const some = fc.record(
    {
      time: pick("2026-01-02T03:04:05.678Z", "2026-01-02T03:04:05.679Z"),
      requestId: pick("a", "b"),
      method: pick("GET", "POST", "HEAD"),
      path: pick("/", "/\u00e9\n"),
      status: pick(0, 200, 503),
      ms: pick(0, 1.5),
      tenant: pick("acme", "globex"),
      stamp: pick("eu-1", "eu-2"),
      epoch: pick(0, 1, 2),
      rule: pick("subdomain", "path"),
      reason: pick("too-busy", "held"),
      traceparent: pick("00-x"),
    },
    { requiredKeys: ["time", "requestId", "method", "path", "status", "ms"] },
  );
  fc.assert(
    fc.property(fc.array(some, { maxLength: 40 }), (entries) => {
      for (const made of entries) expect(JSON.parse(lineOf(made))).toEqual(made);
    }),
  );
});

test("lineOf() writes times as JSON does", () => {
  const times = [0, 0.01, 0.1, 0.29, 0.5, 0.99, 1, 1.1, 12.5, 99.99, 100, 1_234.56, 86_400_000, 1e12, 0.123, 1 / 3];
  for (let n = 0; n < 20_000; n++) times.push(Math.round(n * 7.3) / 100);
  for (const ms of times) expect(lineOf({ ...entry("/"), ms })).toContain(`,"ms":${JSON.stringify(ms)}}`);
});

test("several logs on one file never mix their lines", async () => {
  const path = join(folder, "access.log");
  const logs = [openAccessLog(path), openAccessLog(path), openAccessLog(path)];
  for (let n = 0; n < 3_000; n++) logs[n % 3]?.write(entry(`/${n}/${"x".repeat(n % 300)}`));
  await Promise.all(logs.map((log) => log.close()));
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  expect(lines).toHaveLength(3_000);
  for (const line of lines) JSON.parse(line);
});

test("lines beyond one batch are written without waiting for more, in their order", async () => {
  const path = join(folder, "access.log");
  const log = openAccessLog(path);
  const many = 2_000;
  for (let n = 0; n < many; n++) log.write(entry(`/${n}/${"x".repeat(100)}`));
  await eventually(async () => expect((await readFile(path, "utf8")).trimEnd().split("\n")).toHaveLength(many));
  const lines = (await readFile(path, "utf8")).trimEnd().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as AccessEntry).path.split("/")[1])).toEqual(
    Array.from({ length: many }, (_, n) => String(n)),
  );
  expect(log.dropped()).toBe(0);
  await log.close();
});

test("a log that cannot be opened drops lines and counts them", async () => {
  const log = openAccessLog(join(folder, "missing", "access.log"));
  log.write(entry("/"));
  expect(log.dropped()).toBe(1);
  await log.close();
});

test("a log at its limit is moved away and begun anew", async () => {
  const path = join(folder, "access.log");
  await writeFile(path, `${"x".repeat(200)}\n`);
  const log = openAccessLog(path);
  const rotation = rotateBySize(path, 100, () => log.reopen());
  await eventually(async () => expect(await readFile(`${path}.1`, "utf8")).toContain("xxx"));
  log.write(entry("/new"));
  await log.close();
  rotation.close();
  expect(await readFile(path, "utf8")).toContain('"path":"/new"');
});
