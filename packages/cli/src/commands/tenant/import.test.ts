import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLine, type StubApi, stubFetch } from "../../test-io.ts";
import { parseCsv } from "./csv.ts";
import { readRows } from "./import-rows.ts";

describe("parseCsv()", () => {
  test("reads quotes, line breaks inside them, CRLF and a last line without an end", () => {
    const text = '\uFEFFa,"b ""c""",\r\n\r\n"x\ny",2,3\nlast,,';
    expect(parseCsv(text)).toEqual([
      { line: 1, cells: ["a", 'b "c"', ""] },
      { line: 3, cells: ["x\ny", "2", "3"] },
      { line: 5, cells: ["last", "", ""] },
    ]);
  });

  test.each([
    ['a,"b', "line 1 begins a quote"],
    ['a\n"b"c,d', "line 2 has text behind"],
  ])("refuses %j", (text, message) => {
    expect(() => parseCsv(text)).toThrow(message);
  });
});

describe("readRows()", () => {
  test("reads CSV by its first row, and leaves out what a cell leaves out", () => {
    const text = [
      "key,stamp,residency,weight,hostnames,tenancy",
      'acme,shared-1,"eu;ch",tenants=1 rps=5.5,a.example b.example,dedicated',
      "globex,,,,,",
    ].join("\n");
    expect(readRows(text, "t.csv")).toEqual([
      {
        key: "acme",
        stamp: "shared-1",
        residency: ["eu", "ch"],
        weight: { tenants: 1, rps: 5.5 },
        hostnames: ["a.example", "b.example"],
        tenancy: "dedicated",
      },
      { key: "globex" },
    ]);
  });

  test("reads JSON in three forms", () => {
    const rows = [{ key: "acme" }, { key: "globex", tier: "gold" }];
    expect(readRows(JSON.stringify(rows), "f")).toEqual(rows);
    expect(readRows(JSON.stringify({ tenants: rows }), "f")).toEqual(rows);
    expect(readRows(`${rows.map((row) => JSON.stringify(row)).join("\n\n")}\n`, "f")).toEqual(rows);
    expect(readRows("", "f")).toEqual([]);
  });

  test.each([
    ["key,colour\nacme,red", 'has a column "colour"'],
    ["name\nacme", 'has a column "name"'],
    ["pool\nx", "has no column key"],
    ["key,pool\nacme", "f:2 has 1 cells, and the first row 2"],
    ["key,weight\nacme,rps", 'f:2 has the weight "rps"'],
    ["key\nacme\n\nacme", "f:4 names tenant acme again, after f:2"],
    ['{"key":"a"}\n{"pool":"b"}', "f:2 is no tenant"],
    ['[{"key":"a"},7]', "f entry 2 is no tenant"],
    ['{"key":"a"}\n{"key":"a"}', "f:2 names tenant a again, after f:1"],
  ])("refuses %j", (text, message) => {
    expect(() => readRows(text, "f")).toThrow(message);
  });
});

describe("tenant import", () => {
  let dir: string;
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "stampyard-import-"));
    const rows = Array.from({ length: 25 }, (_, n) => `t${n}`);
    writeFileSync(join(dir, "token"), "sy_operator_x");
    writeFileSync(join(dir, "tenants.csv"), ["key", ...rows].join("\n"));
  });
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  interface Sent {
    readonly dryRun: boolean;
    readonly keys: readonly string[];
  }

  /** A control plane that remembers what it created, and refuses one key. */
  function api(sent: Sent[], kept: Set<string>, bad?: string): StubApi {
    return {
      "POST /v1/tenants/import": ({ body }) => {
        const { tenants, dryRun } = body as { tenants: { key: string }[]; dryRun: boolean };
        const keys = tenants.map(({ key }) => key);
        sent.push({ dryRun, keys });
        const conflict = keys.filter((key) => key === bad).map((key) => ({ key, why: "no" }));
        const fresh = keys.filter((key) => !kept.has(key) && key !== bad);
        const applied = !dryRun && conflict.length === 0;
        if (applied) for (const key of fresh) kept.add(key);
        const placed = fresh.length === 0 ? [] : [{ stamp: "s-1", tenants: fresh.length }];
        return {
          json: { applied, create: fresh.length, unchanged: keys.length - fresh.length, placed, waiting: 0, conflict },
        };
      },
    };
  }
  const run = (argv: string[], stub: StubApi) =>
    runLine(["tenant", "import", "tenants.csv", ...argv, "--server", "http://127.0.0.1:1", "--token-file", "token"], {
      cwd: dir,
      fetch: stubFetch(stub),
    });

  test("goes part after part, says how far it is, and a repeat changes nothing (I27)", async () => {
    const sent: Sent[] = [];
    const kept = new Set<string>();
    const first = await run(["--chunk", "10"], api(sent, kept));
    expect(first).toMatchObject({ code: 0, out: "25 created, 0 unchanged, 0 in conflict\n" });
    expect(first.err).toMatch(/10 of 25: 10 created.*\n20 of 25.*\n25 of 25: 25 created, 0 unchanged\n/);
    expect(sent.map(({ keys }) => keys.length)).toEqual([10, 10, 5]);
    const again = await run(["--chunk", "10", "-o", "json"], api(sent, kept));
    expect(JSON.parse(again.out)).toMatchObject({ applied: true, create: 0, unchanged: 25, rows: 25, of: 25 });
  });

  test("stops at a part with a conflict, and goes on from there when it is mended", async () => {
    const sent: Sent[] = [];
    const kept = new Set<string>();
    const stopped = await run(["--chunk", "10"], api(sent, kept, "t13"));
    expect(stopped.code).toBe(1);
    expect(stopped.out).toMatch(/^10 created, 0 unchanged, 1 in conflict\nStopped at a part/);
    expect(stopped.out).toMatch(/t13 +no/);
    expect(sent).toHaveLength(2);
    const resumed = await run(["--chunk", "10"], api(sent, kept));
    expect(resumed.out).toBe("15 created, 10 unchanged, 0 in conflict\n");
    expect(kept.size).toBe(25);
  });

  test("--plan asks once, changes nothing, and says where they would live", async () => {
    const sent: Sent[] = [];
    const kept = new Set(["t1"]);
    const planned = await run(["--plan", "--chunk", "10"], api(sent, kept, "t13"));
    expect(planned.code).toBe(1);
    expect(planned.out).toMatch(/^23 to create, 2 unchanged, 1 in conflict\n/);
    expect(planned.out).toMatch(/s-1 +23/);
    expect(planned.out).not.toContain("Stopped");
    expect([sent.length, sent[0]?.dryRun, kept.size]).toEqual([1, true, 1]);
  });
});
