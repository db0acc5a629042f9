import { execFile } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CampaignDetailView, CampaignPlanView, MoveView, StampView } from "../../packages/api/src/index.ts";
import { type Ran, runLine } from "../../packages/cli/src/test-io.ts";

/** Campaigns as an operator runs them: the command line, real stamps of the example, clients through the real router. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const tenants = ["acme", "globex", "hooli", "initech", "umbrella"];
let dir: string;
let state: string;
let router: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-drain-"));
  state = join(dir, "state");
  writeFileSync(
    join(dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: drain }
template: ${relative(dir, join(root, "examples/notes/stamp.yaml"))}
pools:
  shared: { regions: [eu], stamps: { min: 2, max: 2 }, capacity: { tenants: 8 } }
routing:
  domains: [localhost]
  path: { prefix: /t, strip: true }
`,
  );
  const up = await started("up", "--port", "0", "--api-port", "0", "--admin-port", "0", "-o", "json");
  router = (JSON.parse(up) as { router: string }).router;
  for (const tenant of tenants) await json("tenant", "create", tenant, "--stamp", "shared-1", "--wait");
}, 120_000);

afterAll(async () => {
  await started("down", "--destroy", "--yes");
  rmSync(dir, { recursive: true, force: true });
}, 60_000);

/** What starts and ends processes runs as one of its own, as built. */
function started(...argv: string[]): Promise<string> {
  const cli = join(root, "packages/cli/bin/stampyard.js");
  const env = { ...process.env, STAMPYARD_STATE: state, NO_COLOR: "1" };
  return new Promise((settle, fail) => {
    execFile(process.execPath, [cli, ...argv], { cwd: dir, env, timeout: 120_000 }, (error, out, err) => {
      if (error === null) settle(out);
      else fail(new Error(`${argv.join(" ")}: ${err}`));
    });
  });
}

function run(...argv: string[]): Promise<Ran> {
  return runLine(argv, { env: { STAMPYARD_STATE: state }, cwd: dir, fetch: globalThis.fetch });
}

async function json<T>(...argv: string[]): Promise<T> {
  const { code, out, err } = await run(...argv, "-o", "json");
  expect(code, `${argv.join(" ")}: ${err}`).toBe(0);
  return JSON.parse(out) as T;
}

interface Answer {
  readonly status: number;
  readonly stamp: string | null;
  readonly body: { readonly notes?: readonly { readonly id: string }[]; readonly next?: string };
}

async function ask(tenant: string, path: string, note?: object): Promise<Answer> {
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(note) };
  const answer = await fetch(`${router}/t/${tenant}${path}`, note === undefined ? {} : post);
  const body = (await answer.json()) as Answer["body"];
  return { status: answer.status, stamp: answer.headers.get("x-notes-stamp"), body };
}

/** As often as each is there. */
async function noteIds(tenant: string): Promise<string[]> {
  const ids: string[] = [];
  for (let after = ""; ; ) {
    const { status, body } = await ask(tenant, `/notes?limit=100${after === "" ? "" : `&after=${after}`}`);
    expect(status).toBe(200);
    ids.push(...(body.notes ?? []).map(({ id }) => id));
    if (body.next === undefined) return ids;
    after = encodeURIComponent(body.next);
  }
}

/** Writes one note after the other, and the same again until it is acknowledged. */
function writer(tenant: string) {
  const acknowledged: string[] = [];
  let isEnding = false;
  let refused = 0;
  const ended = (async () => {
    while (!isEnding) {
      const id = randomUUID();
      for (let status = 0; status !== 200 && status !== 201; ) {
        status = (await ask(tenant, "/notes", { id, title: "while it moves" }).catch(() => ({ status: 0 }))).status;
        if (status === 200 || status === 201) acknowledged.push(id);
        else {
          refused++;
          await delay(5);
        }
      }
    }
  })();
  return {
    acknowledged,
    /** @returns how many answers were none */
    async end() {
      isEnding = true;
      await ended;
      return refused;
    },
  };
}

/** Files of 100 kB beside one note: too much for the answer of a hook. */
async function attach(tenant: string, count: number) {
  const note = randomUUID();
  expect(await ask(tenant, "/notes", { id: note, title: "with files" })).toMatchObject({ status: 201 });
  const files: { id: string; bytes: Buffer }[] = [];
  for (let n = 0; n < count; n++) {
    const bytes = randomBytes(100_000);
    const url = `${router}/t/${tenant}/notes/${note}/attachments?name=file-${n}.bin`;
    const answer = await fetch(url, { method: "POST", body: bytes });
    expect(answer.status).toBe(201);
    files.push({ id: ((await answer.json()) as { id: string }).id, bytes });
  }
  return files;
}

const itemsOf = <T>(...argv: string[]) => json<{ items: T[] }>(...argv).then(({ items }) => items);

async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`Not within 30 s: ${what}`);
    await delay(100);
  }
}

describe("campaigns by the command line", { timeout: 120_000 }, () => {
  test("a dry run of a drain shows who goes where and changes nothing", async () => {
    const plan = await json<CampaignPlanView>("stamp", "drain", "shared-1", "--dry-run");
    expect(plan.items.map(({ tenant, to }) => [tenant, to])).toEqual(tenants.map((tenant) => [tenant, "shared-2"]));
    expect(plan.barred).toBeUndefined();
    const { out } = await run("stamp", "drain", "shared-1", "--dry-run");
    expect(out).toMatch(/^Tenants: +5 to move$/m);
    expect(out).toMatch(/^Takes about: +unknown: no move of this fleet was measured yet$/m);
    expect(await json<StampView>("stamp", "show", "shared-1")).toMatchObject({ phase: "active", goal: "present" });
    expect(await itemsOf("campaign", "list")).toEqual([]);
  });

  test("a drain moves five tenants under load, two at a time, and loses nothing (I15, I16, I32)", async () => {
    const files = await attach("hooli", 3);
    const writers = [writer("acme"), writer("umbrella")];
    const drain = await run("stamp", "drain", "shared-1", "--concurrency", "2", "--way-back", "0", "--wait");
    expect(drain.code, drain.err).toBe(0);
    expect(drain.out).toBe("The drain of shared-1 is done: 5 of 5 moved\n");
    for (const one of writers) await one.end();
    const moves = await itemsOf<MoveView>("move", "list");
    expect(moves.map(({ tenant, from, to }) => [tenant, from, to]).sort()).toEqual(
      tenants.map((tenant) => [tenant, "shared-1", "shared-2"]),
    );
    // Begun and ended: never more than two overlap.
    const spans = moves.map((move) => ({ from: Date.parse(move.createdAt), to: endOf(move) }));
    for (const { from } of spans) {
      expect(spans.filter((other) => other.from <= from && from < other.to).length).toBeLessThanOrEqual(2);
    }
    const [campaign] = await itemsOf<{ id: string }>("campaign", "list", "--of", "shared-1");
    const shown = await json<CampaignDetailView>("campaign", "show", "shared-1");
    expect(shown).toMatchObject({ id: campaign?.id, phase: "done", tenants: { moved: 5, blocked: 0 } });
    expect(moves.every((move) => move.campaign === campaign?.id)).toBe(true);
    for (const [n, tenant] of ["acme", "umbrella"].entries()) {
      const there = await noteIds(tenant);
      const written = writers[n]?.acknowledged ?? [];
      expect(written.length).toBeGreaterThan(5);
      expect(new Set(there).size).toBe(there.length);
      expect(
        written.filter((id) => !there.includes(id)),
        `lost notes of ${tenant}`,
      ).toEqual([]);
    }
    for (const tenant of tenants) expect(await ask(tenant, "/")).toMatchObject({ status: 200, stamp: "shared-2" });
    for (const { id, bytes } of files) {
      const answer = await fetch(`${router}/t/hooli/attachments/${id}`);
      expect([answer.status, answer.headers.get("x-notes-stamp")]).toEqual([200, "shared-2"]);
      expect(Buffer.compare(Buffer.from(await answer.arrayBuffer()), bytes), "an object that is in no table").toBe(0);
    }
    const empty = await until("shared-1 to be empty", async () => {
      const stamp = await json<StampView>("stamp", "show", "shared-1");
      return stamp.phase === "empty" ? stamp : undefined;
    });
    expect(empty.used.tenants).toBe(0);
  });

  test("a rebalancing is planned by what it brings, measured by past moves, and done once it is confirmed", async () => {
    await json("stamp", "uncordon", "shared-1");
    await until("shared-1 to take tenants", async () => {
      return (await json<StampView>("stamp", "show", "shared-1")).phase === "active" ? true : undefined;
    });
    const plan = await json<CampaignPlanView>("pool", "rebalance", "shared", "--dry-run");
    expect(plan.items).toHaveLength(2);
    expect(plan.shares).toEqual([
      { stamp: "shared-1", before: 0, after: 0.25 },
      { stamp: "shared-2", before: 0.625, after: 0.375 },
    ]);
    expect(plan.estimate?.basis).toMatch(/of the last 5 moves/);
    const unconfirmed = await run("pool", "rebalance", "shared");
    expect(unconfirmed.err).toContain("[CONFIRMATION_REQUIRED]");
    expect(await itemsOf("campaign", "list", "--kind", "rebalance")).toEqual([]);
    const done = await run("pool", "rebalance", "shared", "--yes", "--way-back", "0");
    expect(done.code, done.err).toBe(0);
    expect(done.out).toBe("The rebalance of shared is done: 2 of 2 moved\n");
    const homes = await itemsOf<{ stamp?: string }>("tenant", "list");
    expect(homes.map(({ stamp }) => stamp).sort()).toEqual(["shared-1", "shared-1", ...Array(3).fill("shared-2")]);
    const again = await run("pool", "rebalance", "shared", "--yes");
    expect(again.out).toContain("Nothing to do");
  });
});

/** When its tenant was served by the target, as its report has it. */
function endOf({ report, updatedAt }: MoveView): number {
  const decided = report.switches?.find(({ outcome }) => outcome === "decided");
  return decided === undefined ? Date.parse(updatedAt) : Date.parse(decided.at);
}
