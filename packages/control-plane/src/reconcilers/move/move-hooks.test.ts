import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { template } from "../test-world.ts";
import { createMoveWorld, from, type MoveWorld, to } from "./test-move-world.ts";

let postgres: TestPostgres;
let world: MoveWorld;
beforeAll(async () => {
  postgres = await startTestPostgres();
  const hook = { kind: "http", service: "api", path: "/hooks/tenant", timeoutMs: 1_000 } as const;
  const hooks = { ...template.hooks, onDrain: hook, onExport: hook, onImport: hook, onRebuild: hook };
  world = await createMoveWorld(postgres, { hooks });
}, 60_000);
afterEach(() => {
  world.application.state.onHook = () => undefined;
});
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

let made = 0;
async function begin(restMs: number) {
  const tenant = `hooked-${made++}`;
  await world.createTenant(tenant, 3);
  const { id } = (await world.store.moves.request({ tenant, to, restMs }, world.ctx())).value;
  return { tenant, id };
}

test("a move drains its source to 0 twice, hands the export to the import before and in the pause, and rebuilds", async () => {
  const { tenant, id } = await begin(3_600_000);
  const told: { hook: string; body: Record<string, unknown> }[] = [];
  let pending = 2;
  let rebuilds = 0;
  world.application.state.onHook = (hook, text) => {
    told.push({ hook, body: JSON.parse(text) as Record<string, unknown> });
    if (hook === "tenant.onDrain") return JSON.stringify({ pending: Math.max(0, pending--) });
    if (hook === "tenant.onExport") return JSON.stringify({ bucket: "b", count: 7 });
    if (hook === "tenant.onRebuild" && rebuilds++ === 0) return "x".repeat(70_000);
    return undefined;
  };
  const move = await world.settleMove(id, undefined, ({ state, report }) => {
    return state.kind === "resting" && report.rebuild?.ms !== undefined;
  });
  const names = told.map(({ hook }) => hook.replace("tenant.on", ""));
  expect(names.slice(0, 4), "2, 1, 0, 0").toEqual(["Drain", "Drain", "Drain", "Drain"]);
  expect(names.slice(4)).toEqual(["Export", "Import", "Drain", "Drain", "Export", "Import", "Rebuild", "Rebuild"]);
  const imports = told.filter(({ hook }) => hook === "tenant.onImport").map(({ body }) => body);
  const given = { tenant, stamp: to, epoch: 2, export: { bucket: "b", count: 7 }, move: { id, from, to } };
  expect(imports).toEqual([
    { ...given, final: false },
    { ...given, final: true },
  ]);
  expect(move.report).toMatchObject({
    drainMs: expect.any(Number),
    switches: [{ outcome: "decided" }],
    rebuild: { attempts: 2 },
  });
  await world.store.moves.finish(id, {}, world.ctx());
  expect(await world.settleMove(id)).toMatchObject({ state: { kind: "done" } });
  expect(await world.rowsIn(to, tenant)).toHaveLength(3);
});

test("a drain that never comes to 0 fails each try of the switch, and at last the move, by its name", async () => {
  const { tenant, id } = await begin(0);
  world.application.state.onHook = (hook) => (hook === "tenant.onDrain" ? '{"pending": 4}' : undefined);
  const move = await world.settleMove(id);
  expect(move.state).toMatchObject({
    kind: "aborted",
    cause: expect.stringMatching(/8 attempts.*tenant\.onDrain of stamp move-a .*4 pending/),
  });
  expect(move.report.switches).toHaveLength(8);
  expect(move.report.switches?.[0]).toMatchObject({ outcome: "opened-again", fencedMs: 0 });
  expect(await world.write(tenant, "goes-on")).toBe(from);
  await world.expectNothingLeft();
}, 60_000);

test("an import that fails in the pause opens the source again, and the next try goes through", async () => {
  const { tenant, id } = await begin(0);
  let finals = 0;
  world.application.state.onHook = (hook, text) => {
    if (hook !== "tenant.onExport") return undefined;
    return text.includes('"final":true') && finals++ === 0 ? "not JSON" : "{}";
  };
  const move = await world.settleMove(id);
  expect(move.state.kind).toBe("done");
  expect(move.report.switches).toMatchObject([
    { outcome: "opened-again", cause: expect.stringMatching(/onExport .* did not answer JSON/) },
    { outcome: "decided" },
  ]);
  expect(move.report.copied, "what was copied stays, and is followed").toMatchObject({ rows: 3 });
  expect(await world.rowsIn(to, tenant)).toHaveLength(3);
});
