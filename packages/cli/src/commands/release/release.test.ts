import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ReleaseMatrixView } from "@stampyard/api";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runLine, type StubApi, stubFetch } from "../../test-io.ts";
import { matrixText } from "./matrix.ts";

let dir: string;
let env: Readonly<Record<string, string>>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-release-"));
  writeFileSync(join(dir, "token"), "t\n");
  env = { STAMPYARD_API: "http://127.0.0.1:4300", STAMPYARD_TOKEN_FILE: join(dir, "token") };
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const run = (api: StubApi, ...argv: string[]) => runLine(argv, { env, fetch: stubFetch(api) });

const at = "2026-11-23T05:00:00.000Z";
const digestOf = (hex: string) => `sha256:${hex.repeat(64)}` as const;
const release = (hex: string, version: string, more: object = {}) => ({
  digest: digestOf(hex),
  template: "notes",
  version,
  createdAt: at,
  current: false,
  stamps: 0,
  ...more,
});
const list: StubApi = {
  "GET /v1/releases": {
    json: {
      items: [
        release("c", "1.1.0", { notes: "faster search", createdBy: "token:tok_1" }),
        release("b", "1.1.0", { current: true, stamps: 2 }),
        release("a", "1.0.0", { content: digestOf("d"), kept: false }),
      ],
    },
  },
};

test("release list and show name who made it, its notes and the stamps that are to run it", async () => {
  const { out } = await run(list, "release", "list");
  expect(out).toMatch(/^cccccccccccc +1\.1\.0 +notes +no +0 +- +\w+ +token:tok_1 +faster search$/m);
  expect(out).toMatch(/^bbbbbbbbbbbb +1\.1\.0 +notes +yes +2 /m);
  expect(out).toMatch(/^aaaaaaaaaaaa +1\.0\.0 +notes +no +0 +dddddddddddd \(removed\) /m);
  const shown = await run({ ...list, "GET /v1/stamps": { json: { items: [] } } }, "release", "show", "1.0.0");
  expect(shown.out).toMatch(/^Release: +sha256:a{64}$/m);
  expect(shown.out).toMatch(/^Files: +sha256:d{64}, which are not kept any more$/m);
  expect(shown.out).toMatch(/^Stamps: +none$/m);
});

test("a version of two releases is refused with their digests, and the first characters of one name it", async () => {
  const two = await run(list, "release", "show", "1.1.0");
  expect(two.code).toBe(1);
  expect(two.err).toContain('"1.1.0" means 2 releases: cccccccccccc, bbbbbbbbbbbb');
  const api = { ...list, "GET /v1/stamps": { json: { items: [] } } };
  expect((await run(api, "release", "show", "cccc")).out).toContain("faster search");
  expect((await run(api, "release", "show", digestOf("a"))).code).toBe(0);
  expect((await run(api, "release", "show", "9.9.9")).err).toContain("[RELEASE_NOT_FOUND]");
});

test("release diff ends with 2 when something changes, and with 0 when nothing does", async () => {
  let query = "";
  const diff = {
    from: { digest: digestOf("a"), version: "1.0.0" },
    to: { digest: digestOf("c"), version: "1.1.0" },
    stamp: "shared-1",
    same: false,
    changes: [{ what: "component api", change: "update", lines: ["env.LEVEL: info -> debug"] }],
  };
  const api: StubApi = {
    ...list,
    [`GET /v1/releases/${encodeURIComponent(digestOf("c"))}/diff`]: (request) => {
      query = request.query.toString();
      return { json: diff };
    },
  };
  const { code, out } = await run(api, "release", "diff", "cccc", "--from", "1.0.0", "--stamp", "shared-1");
  expect(code).toBe(2);
  expect(query).toBe(`from=${encodeURIComponent(digestOf("a"))}&stamp=shared-1`);
  expect(out).toBe(
    "Stamp shared-1 from 1.0.0 (aaaaaaaaaaaa) to 1.1.0 (cccccccccccc):\n  ~ component api\n      env.LEVEL: info -> debug\n",
  );
  diff.same = true;
  expect((await run(api, "release", "diff", "cccc")).code).toBe(0);
});

test("release matrix has a column for each release, and says who is behind, on its way and out of sight", () => {
  const stamp = (name: string, hex: string, more: object = {}) => ({
    stamp: name,
    pool: "shared",
    region: "eu",
    release: digestOf(hex),
    behindMs: 0,
    ...more,
  });
  const matrix: ReleaseMatrixView = {
    releases: [
      { digest: digestOf("b"), version: "1.1.0", createdAt: at, current: true, stamps: 2 },
      { digest: digestOf("a"), version: "1.0.0", createdAt: at, current: false, stamps: 1 },
    ],
    stamps: [
      stamp("shared-1", "b", { converged: true }),
      stamp("shared-2", "b", { converged: false, rollout: "ro-1" }),
      stamp("shared-3", "a", { behindMs: 90_000_000, pinned: "a long import" }),
    ],
    alerts: [{ kind: "age", stamp: "shared-3", text: "25 h behind" }],
  };
  const text = matrixText(matrix);
  expect(text).toMatch(/^STAMP +POOL +REGION +1\.1\.0\* +1\.0\.0 +BEHIND +ROLLOUT +PINNED$/m);
  expect(text).toMatch(/^shared-1 +shared +eu +x +- +- +- +-$/m);
  expect(text).toMatch(/^shared-2 +shared +eu +\.\. +- +- +ro-1 +-$/m);
  expect(text).toMatch(/^shared-3 +shared +eu +- +\? +25 h +- +a long import$/m);
  expect(text).toContain("alert: stamp shared-3: 25 h behind\n");
});
