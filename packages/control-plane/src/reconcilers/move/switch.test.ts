import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { createMoveWorld, type MoveWorld, to } from "./test-move-world.ts";

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

test("trySwitch() says that the last changes took too long, and the next try decides (I23)", async () => {
  await world.createTenant("late", 3);
  const { value } = await world.store.moves.request({ tenant: "late", to, restMs: 0, maxPauseMs: 500 }, world.ctx());
  let isSlow = true;
  world.setPoint(async (where) => {
    if (where !== "mover.settle:before" || !isSlow) return;
    isSlow = false;
    await delay(700);
  });
  const move = await world.settleMove(value.id);
  expect(move.state).toEqual({ kind: "done" });
  const [first, ...later] = move.report.switches ?? [];
  expect(first).toMatchObject({ outcome: "opened-again", cause: "the last changes took longer than 500 ms" });
  expect(later.at(-1)).toMatchObject({ outcome: "decided" });
}, 60_000);
