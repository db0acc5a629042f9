import type { Move, MovePhase, MoveState, Tenant } from "@stampyard/domain";
import { openStore } from "./open.ts";
import type { Revisioned, Store, WriteContext } from "./port.ts";
import { schemaName } from "./migrations.ts";
import { run, type TestPostgres } from "./test-postgres.ts";
import { leaderOf, testKeys } from "./test-store.ts";

/** Walks moves through their phases as their reconciler would, without any stamp. */

export interface LedStore extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly ctx: WriteContext;
}

const databases = new WeakMap<TestPostgres, string>();

/** Empty; one at a time. Dropping a schema is quicker than a database per test. */
export async function openLed(postgres: TestPostgres): Promise<LedStore> {
  const url = databases.get(postgres) ?? (await postgres.database());
  databases.set(postgres, url);
  await run(url, `DROP SCHEMA IF EXISTS ${schemaName} CASCADE`);
  const store = await openStore({ url, keys: testKeys });
  return { url, store, ctx: await leaderOf(store), [Symbol.asyncDispose]: () => store.close() };
}

/** Far enough that nothing in a test comes to its end. */
export const later = Date.now() + 86_400_000;

export function stateOf(kind: MovePhase): MoveState {
  switch (kind) {
    case "switching":
      return { kind, attempt: 1, retryAt: 0 };
    case "resting":
      return { kind, until: later };
    case "disputed":
    case "aborting":
    case "aborted":
      return { kind, cause: "a test" };
    default:
      return { kind };
  }
}

/** The way that a move goes when nothing fails. */
const way: readonly MovePhase[] = [
  "requested",
  "checking",
  "copying",
  "switching",
  "opening",
  "verifying",
  "resting",
  "erasing",
  "done",
];

export async function moveOf(store: Store, id: string): Promise<Revisioned<Move>> {
  const found = await store.moves.read(id);
  if (found === undefined) throw new RangeError(`No move ${id}`);
  return found;
}

export async function tenantOf(store: Store, key: string): Promise<Tenant> {
  const found = await store.tenants.read(key);
  if (found === undefined) throw new RangeError(`No tenant ${key}`);
  return found.value;
}

/** Lands it on the way, and leaves it in that phase. */
export async function bringTo(
  store: Store,
  ctx: WriteContext,
  id: string,
  phase: MovePhase,
): Promise<Revisioned<Move>> {
  const to = way.indexOf(phase);
  for (;;) {
    const move = await moveOf(store, id);
    const at = way.indexOf(move.value.state.kind);
    if (at === to) return move;
    const next = way[at + 1];
    if (at < 0 || at > to || next === undefined)
      throw new RangeError(`${move.value.state.kind} does not lead to ${phase}`);
    if (next === "verifying") await store.moves.land(id, ctx);
    await store.moves.write({ ...move.value, state: stateOf(next) }, move.revision, ctx);
  }
}

export async function giveUp(store: Store, ctx: WriteContext, id: string): Promise<void> {
  for (const kind of ["aborting", "aborted"] as const) {
    const move = await moveOf(store, id);
    await store.moves.write({ ...move.value, state: stateOf(kind) }, move.revision, ctx);
  }
}
