import type { MoveCheck } from "@stampyard/domain";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createMoveWorld, type MoveWorld, to } from "../reconcilers/move/test-move-world.ts";
import { startTestPostgres, type TestPostgres } from "../store/test-postgres.ts";
import { checkMove } from "./check-move.ts";
import { checkSpace, withSpace } from "./check-space.ts";
import { type MoveEnd, readEnds } from "./move-ends.ts";

const mebibyte = 1024 ** 2;
const { signal } = new AbortController();

let postgres: TestPostgres;
let world: MoveWorld;
let target: MoveEnd;
beforeAll(async () => {
  postgres = await startTestPostgres();
  world = await createMoveWorld(postgres);
  await world.createTenant("acme", 12);
  ({ target } = await readEnds(world.freshDeps(), { from: "move-a", to }, signal));
}, 60_000);
afterAll(async () => {
  await world?.[Symbol.asyncDispose]();
  await postgres?.[Symbol.asyncDispose]();
});

const checkOf = (rows: number, bytes: number): MoveCheck => ({ problems: [], warnings: [], tables: [], rows, bytes });
const free = (bytes: number | undefined) => ({ freeBytes: async () => bytes });

test("withSpace() refuses a tenant whose rows, indexes and log would not fit, and says how much each is", () => {
  const check = checkOf(1_000_000, 1_000 * mebibyte);
  const { problems } = withSpace(check, to, 3_200 * mebibyte);
  expect(problems).toEqual([
    {
      where: `database of stamp ${to}`,
      what: "has 3.1 GiB free, and the move needs about 3.0 GiB and 256 MiB to spare",
      mend: "Make room on its volume, or choose another stamp.",
    },
  ]);
  expect(withSpace(check, to, 3_400 * mebibyte).problems).toEqual([]);
});

test("checkSpace() leaves a large tenant to a person where the engine cannot tell, and says nothing of a small one", async () => {
  const large = checkOf(1_000_000, 2_000 * mebibyte);
  for (const engine of [{}, free(undefined)]) {
    const { problems, warnings } = await checkSpace(engine, target, large, signal);
    expect(problems).toEqual([]);
    expect(warnings).toMatchObject([{ where: `database of stamp ${to}`, what: expect.stringContaining("6.0 GiB") }]);
    expect(await checkSpace(engine, target, checkOf(10, mebibyte), signal)).toEqual(checkOf(10, mebibyte));
  }
});

test("a move to a full volume is refused, by the dry run and by the move itself, and nothing is changed (I21)", async () => {
  const asked: unknown[] = [];
  const freeBytes = async (...what: unknown[]) => {
    asked.push(what.slice(0, 2));
    return 10 * mebibyte;
  };
  const full = () => {
    const deps = world.freshDeps();
    return { ...deps, engine: { ...deps.engine, freeBytes } };
  };
  const { check } = await checkMove(full(), { tenant: "acme", to }, signal);
  expect(check.problems).toMatchObject([{ what: expect.stringContaining("has 10 MiB free") }]);
  expect(asked).toEqual([[to, "db"]]);
  const { id } = (await world.store.moves.request({ tenant: "acme", to, restMs: 0 }, world.ctx())).value;
  const move = await world.settleMove(id, signal, undefined, undefined, full);
  expect(move.state).toMatchObject({ kind: "aborted", cause: expect.stringContaining("has 10 MiB free") });
  expect(await world.homeIn("move-a", "acme")).toMatchObject({ state: "active", epoch: 1, move_id: null });
  expect(await world.homeIn(to, "acme")).toBeUndefined();
});
