import { afterAll, beforeAll, expect, test } from "vitest";
import { createMoveWorld, from, type MoveWorld, to } from "../reconcilers/move/test-move-world.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { checkMove } from "./check-move.ts";

let postgres: TestPostgres;
let world: MoveWorld;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createMoveWorld(postgres);
}, 60_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const { signal } = new AbortController();

test("checkMove() tells what a move would take along, and changes nothing", async () => {
  await world.createTenant("dry", 12);
  const checked = await checkMove(world.freshDeps(), { tenant: "dry", to }, signal);
  expect(checked).toMatchObject({ from, to, epoch: 1, check: { problems: [] } });
  expect(checked.check.tables).toMatchObject([{ table: "public.notes", kind: "tenant" }]);
  expect((await world.store.tenants.read("dry"))?.value.state.kind).toBe("active");
  expect((await world.store.moves.list()).items).toEqual([]);
  expect(await world.homeIn(from, "dry")).toMatchObject({ state: "active", move_id: null });
  expect(await world.homeIn(to, "dry")).toBeUndefined();
});

test("checkMove() names every problem that the databases show, with what mends it", async () => {
  await world.databases.get(to)?.query("alter table notes add column more text");
  const { check } = await checkMove(world.freshDeps(), { tenant: "dry", to }, signal);
  await world.databases.get(to)?.query("alter table notes drop column more");
  expect(check.problems.length).toBeGreaterThan(0);
  for (const problem of check.problems) expect(problem.mend).toMatch(/\.$/);
});
