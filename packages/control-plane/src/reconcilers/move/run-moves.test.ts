import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPostgres, type TestPostgres } from "../../store/test-postgres.ts";
import { systemClock } from "../../system-ports.ts";
import { runMoves } from "./run-moves.ts";
import { createMoveWorld, hasEnded, type MoveWorld, to } from "./test-move-world.ts";

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

const tenants = Array.from({ length: 5 }, (_, n) => `crowd-${n}`);

async function allEnded(ids: readonly string[]): Promise<void> {
  const deadline = performance.now() + 25_000;
  for (;;) {
    const moves = await Promise.all(ids.map((id) => world.store.moves.read(id)));
    if (moves.every((move) => move !== undefined && hasEnded(move.value))) return;
    if (performance.now() > deadline) throw new Error(`Moves do not end: ${JSON.stringify(moves)}`);
    await delay(20);
  }
}

test("runMoves() takes at most two tenants of a stamp at once, and all of them in the end", async () => {
  for (const tenant of tenants) await world.createTenant(tenant, 2);
  let working = 0;
  let most = 0;
  const waited = new Set<string>();
  world.setPoint(async (where) => {
    if (where === "mover.copy:before") most = Math.max(most, ++working);
    if (where === "mover.copy:after") {
      // Long enough for the others to try.
      await delay(50);
      working -= 1;
    }
  });
  const deps = {
    ...world.freshDeps(),
    clock: systemClock,
    events: { publish: (event: { kind: string; why?: string }) => void waited.add(event.why ?? event.kind) },
  };
  const stop = new AbortController();
  const running = runMoves(deps, world.token, stop.signal);
  const moves = [];
  for (const tenant of tenants) moves.push(await world.store.moves.request({ tenant, to, restMs: 0 }, world.ctx()));
  await allEnded(moves.map(({ value }) => value.id));
  stop.abort();
  await running;
  expect(most).toBe(2);
  expect(waited).toContain("other moves of stamp move-a: 2 are at work, the most at once");
  for (const tenant of tenants) expect(await world.rowsIn(to, tenant)).toHaveLength(2);
  await world.expectNothingLeft();
}, 60_000);
