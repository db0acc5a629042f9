import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { latencyBounds } from "@stampyard/domain";
import { afterEach, beforeEach, expect, test } from "vitest";
import { followIngressLog, type IngressLog, readIngressLine } from "./ingress-log.ts";

let folder: string;
let file: string;
let log: IngressLog | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "stampyard-ingress-log-"));
  file = join(folder, "access.log");
});
afterEach(async () => {
  await log?.[Symbol.asyncDispose]();
  log = undefined;
  await rm(folder, { recursive: true, force: true });
});

const line = (stamp: string, status: number, seconds = 0.004) =>
  `203.0.113.7 - - [22/Nov/2026:10:00:00 +0000] "GET /a?stamp=eu-9 HTTP/1.1" ${status} 12 "-" "curl" stamp=${stamp} rt=${seconds}\n`;

test("readIngressLine() reads JSON and combined lines, and nothing that names no stamp", () => {
  expect(readIngressLine('{"stamp":"eu-1","status":502,"request_time":"0.250"}')).toEqual({
    ...{ stamp: "eu-1", status: 502, ms: 250 },
  });
  expect(readIngressLine('{"stamp":"eu-1","status":"200","ms":7}')).toEqual({ stamp: "eu-1", status: 200, ms: 7 });
  expect(readIngressLine(line("eu-1", 404).trim())).toEqual({ stamp: "eu-1", status: 404, ms: 4 });
  expect(readIngressLine("haproxy[7]: status=503 stamp=eu-2 ms=31")).toEqual({ stamp: "eu-2", status: 503, ms: 31 });
  for (const foreign of [
    "",
    "{",
    "null",
    '{"status":200}',
    "stamp=../etc status=200",
    "stamp=- status=200",
    "stamp=eu-1",
  ]) {
    expect(readIngressLine(foreign), foreign).toBeUndefined();
  }
});

test("a log is followed from its end on, through half lines, renaming and truncation, and counted once", async () => {
  await writeFile(file, line("eu-1", 500).repeat(10));
  log = followIngressLog(file);
  const of = async (stamp: string) => (await log?.read(0))?.stamps[stamp];
  expect(await of("eu-1")).toBeUndefined();
  await appendFile(file, line("eu-1", 200) + line("eu-1", 503, 20) + line("eu-2", 200).slice(0, 30));
  expect(await of("eu-1")).toMatchObject({ requests: 2, errors: 1 });
  expect((await of("eu-1"))?.latency[latencyBounds.length]).toBe(1);
  await appendFile(file, line("eu-2", 200).slice(30));
  expect(await of("eu-2")).toMatchObject({ requests: 1, errors: 0 });

  await appendFile(file, line("eu-1", 200));
  await rename(file, `${file}.1`);
  await writeFile(file, line("eu-1", 200).repeat(30));
  expect(await of("eu-1")).toMatchObject({ requests: 33 });
  await truncate(file, 0);
  await appendFile(file, line("eu-1", 200));
  expect(await of("eu-1")).toMatchObject({ requests: 34 });
});

test("a log that cannot be read is a silence, not a quiet time, and is read again when it is there", async () => {
  log = followIngressLog(file);
  expect(await log.read(0)).toBeUndefined();
  await writeFile(file, "");
  const first = await log.read(0);
  await appendFile(file, line("eu-1", 200));
  const second = await log.read(1);
  expect(second?.number).toBeGreaterThan(first?.number ?? 0);
  expect(second?.stamps["eu-1"]).toMatchObject({ requests: 1 });
});
