import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { MoveProposalView, MoveView, TenantView } from "../../packages/api/src/index.ts";
import { type Ran, runLine } from "../../packages/cli/src/test-io.ts";

/** Moves as an operator asks for them: the command line, a real fleet of the example, clients through the real router. */

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
let dir: string;
let state: string;
let router: string;
/** Home of acme in the beginning, and the other stamp. */
let home: string;
let other: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "stampyard-move-cli-"));
  // Where we are root, stamps run under users of their own, and their data is here only if they can pass through.
  chmodSync(dir, 0o755);
  state = join(dir, "state");
  writeFileSync(
    join(dir, "fleet.yaml"),
    `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: move-cli }
template: ${relative(dir, join(root, "examples/notes/stamp.yaml"))}
pools:
  shared: { regions: [eu, us], stamps: { min: 2, max: 2 } }
routing:
  domains: [localhost]
  path: { prefix: /t, strip: true }
`,
  );
  const up = await started("up", "--port", "0", "--api-port", "0", "--admin-port", "0", "-o", "json");
  router = (JSON.parse(up) as { router: string }).router;
  home = (await json<TenantView>("tenant", "create", "acme", "--wait")).stamp ?? "";
  other = home === "shared-1" ? "shared-2" : "shared-1";
  await json("tenant", "create", "globex", "--stamp", home, "--wait");
  await json("tenant", "create", "initech", "--stamp", "shared-1", "--residency", "eu", "--wait");
}, 180_000);

afterAll(async () => {
  await started("down", "--destroy", "--yes");
  rmSync(dir, { recursive: true, force: true });
}, 120_000);

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

/** As the application's own role, in the source's database. */
async function connect(stamp: string): Promise<pg.Client> {
  const folder = join(state, "stamps", stamp);
  const { secrets } = JSON.parse(readFileSync(join(folder, "spec.json"), "utf8")) as {
    secrets: Record<string, string>;
  };
  const config = readFileSync(join(folder, "data/db/postgresql.conf"), "utf8");
  const host = /^unix_socket_directories = '(.*)'$/m.exec(config)?.[1] ?? "";
  const client = new pg.Client({ host, database: "app", user: "stampyard_app", password: secrets["db.appPassword"] });
  await client.connect();
  return client;
}

const failed = async (...argv: string[]) => {
  const { code, err } = await run(...argv);
  expect(code, argv.join(" ")).toBe(1);
  return err;
};

describe("moves by the command line", { timeout: 120_000 }, () => {
  test("a dry run shows every table and changes nothing", async () => {
    const before = await json<{ items: unknown[] }>("audit", "list", "--subject", "tenant/acme");
    const proposal = await json<MoveProposalView>("tenant", "move", "acme", "--to", other, "--dry-run");
    expect(proposal).toMatchObject({ from: home, to: other, epoch: 1, problems: [] });
    const moved = proposal.tables.filter(({ kind }) => kind === "tenant").map(({ table }) => table);
    expect(moved).toEqual(expect.arrayContaining(["public.accounts", "public.notes", "public.outbox"]));
    const { out } = await run("tenant", "move", "acme", "--dry-run");
    expect(out).toMatch(/^public\.notes +tenant +\d+ +\d/m);
    expect(out).toContain("Nothing stands in its way; nothing was changed\n");
    expect((await json<{ items: unknown[] }>("move", "list")).items).toEqual([]);
    expect(await json("audit", "list", "--subject", "tenant/acme")).toEqual(before);
    expect(await json("tenant", "show", "acme")).toMatchObject({ phase: "active", stamp: home, epoch: 1 });
  });

  test("what cannot be is refused, with its reason and a mend", async () => {
    expect(await failed("tenant", "move", "acme", "--to", home)).toContain(`is on stamp ${home} already`);
    expect(await failed("tenant", "move", "acme", "--to", "nowhere")).toContain("[STAMP_NOT_FOUND]");
    expect(await failed("tenant", "move", "nobody", "--to", other)).toContain("[TENANT_NOT_FOUND]");
    expect(await failed("tenant", "move", "initech", "--to", "shared-2")).toMatch(/is in us.*\[MOVE_REFUSED\]/);
    expect(await failed("tenant", "move", "acme", "--mode", "stream")).toContain("Use capture");
    await json("stamp", "cordon", other);
    expect(await failed("tenant", "move", "acme", "--to", other)).toMatch(/cordoned.*\[WRONG_PHASE\]/);
    await json("stamp", "uncordon", other);
    expect((await json<{ items: unknown[] }>("move", "list")).items).toEqual([]);
  });

  test("a move that waits for a writer shows that, refuses a second one, and is aborted: the tenant stays", async () => {
    const held = await connect(home);
    try {
      await held.query("begin");
      await held.query("update accounts set name = name where tenant_id = 'acme'");
      const begun = await json<MoveView>("tenant", "move", "acme", "--to", other, "--no-wait");
      expect(await failed("tenant", "move", "acme", "--to", other)).toContain(`stampyard move watch ${begun.id}`);
      expect(await json("tenant", "show", "acme")).toMatchObject({
        phase: "moving",
        stamp: home,
        move: { id: begun.id },
      });
      const late = await run("move", "watch", "acme", "--timeout", "1");
      expect(late.code).toBe(3);
      expect(late.err).toContain("stampyard move abort");
      const aborted = await run("move", "abort", "acme", "--reason", "a test");
      expect(aborted).toMatchObject({ code: 0, out: `Move ${begun.id} is aborted: tenant acme stays on ${home}\n` });
    } finally {
      await held.query("rollback");
      await held.end();
    }
    expect(await json("tenant", "show", "acme")).toMatchObject({ phase: "active", stamp: home, epoch: 1 });
    expect(await ask("acme", "/notes", { title: "after the abort" })).toMatchObject({ status: 201, stamp: home });
  });

  test("a tenant moves under load: every acknowledged write is there once, and the pause is told (I15, I16, I20)", async () => {
    const [mine, neighbour] = [writer("acme"), writer("globex")];
    const { code, out, err } = await run("tenant", "move", "acme", "--to", other);
    expect(code, err).toBe(0);
    expect(out).toMatch(
      new RegExp(`^Tenant acme is on ${other}; writes paused for \\d+(?:\\.\\d)? m?s \\(closed for `),
    );
    const move = await json<MoveView>("move", "show", "acme");
    expect(move).toMatchObject({ phase: "resting", from: home, to: other, report: { compared: { isEqual: true } } });
    expect(move.pauseMs).toBeLessThan(move.options.maxPauseMs + 2_000);
    await mine.end();
    expect(await neighbour.end(), "refusals of a neighbour").toBe(0);
    expect(mine.acknowledged.length).toBeGreaterThan(10);
    const there = await noteIds("acme");
    expect(new Set(there).size).toBe(there.length);
    expect(mine.acknowledged.filter((id) => !there.includes(id))).toEqual([]);
    expect(await ask("acme", "/")).toMatchObject({ status: 200, stamp: other });
    expect(await ask("globex", "/")).toMatchObject({ status: 200, stamp: home });
    await untilRebuilt("acme");
    const found = await fetch(`${router}/t/acme/search?q=after%20abort`);
    expect([found.headers.get("x-notes-stamp"), found.headers.get("x-notes-index")]).toEqual([other, "kept"]);
    expect(await found.json()).toMatchObject({ notes: [{ title: "after the abort" }] });
  });

  test("list, show and watch tell of a move that rests, and of its way back", async () => {
    const { items } = await json<{ items: MoveView[] }>("move", "list", "--open");
    const [move] = items;
    expect(items).toMatchObject([{ tenant: "acme", phase: "resting" }]);
    const shown = (await run("move", "show", "acme")).out;
    for (const line of [/^Compared: +equal, /m, /^Copied: +\d/m, /^Write pause: +\d+/m, /^Way back: +until 20/m])
      expect(shown).toMatch(line);
    expect((await run("tenant", "show", "acme")).out).toMatch(/^Move: +mv-.* can be taken back until 20/m);
    const watched = await run("move", "watch", move?.id ?? "", "-o", "jsonl");
    expect(watched.code).toBe(0);
    expect(JSON.parse(watched.out)).toMatchObject({ phase: "resting" });
    expect(await failed("tenant", "move", "acme", "--to", home)).toContain(`stampyard move finish ${move?.id}`);
    expect(await failed("move", "abort", "acme")).toContain("stampyard move rollback");
  });

  test("rollback takes the tenant back with what was written since, and a last move is finished (I18)", async () => {
    const written = writer("acme");
    const back = await json<MoveView>("move", "rollback", "acme", "--way-back", "0");
    expect(back).toMatchObject({ from: other, to: home, tenant: "acme" });
    await written.end();
    const there = await noteIds("acme");
    expect(written.acknowledged.filter((id) => !there.includes(id))).toEqual([]);
    expect(await ask("acme", "/")).toMatchObject({ status: 200, stamp: home });
    expect((await run("move", "watch", "acme")).code).toBe(0);
    const again = await untilFree(() => run("tenant", "move", "acme", "--to", other, "-o", "json"));
    expect(again).toMatchObject({ code: 0 });
    const finished = await run("move", "finish", "acme");
    expect(finished.out).toMatch(/is done: tenant acme is on .*; \d+ rows erased on /);
    expect((await noteIds("acme")).length).toBe(there.length);
    expect((await json<{ items: unknown[] }>("move", "list", "--open")).items).toEqual([]);
  });
});

/** The index is in no table: the target makes it again from its rows, behind the move. */
async function untilRebuilt(tenant: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const { report } = await json<MoveView>("move", "show", tenant);
    if (report.rebuild?.ms !== undefined) return;
    if (performance.now() > deadline) throw new Error(`No index after 20 s: ${JSON.stringify(report.rebuild)}`);
    await delay(50);
  }
}

/** The copy of the last move is erased in the background; until then another one is refused. */
async function untilFree(attempt: () => Promise<Ran>): Promise<Ran> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const ran = await attempt();
    if (ran.code === 0 || !ran.err.includes("WRONG_PHASE") || performance.now() > deadline) return ran;
    await delay(50);
  }
}
