import { type Component, endedMoves, type Move, type PostgresComponent, type Template } from "@stampyard/domain";
import { installFence } from "@stampyard/movers";
import { serviceFixture } from "@stampyard/testing";
import pg from "pg";
import { expect } from "vitest";
import { systemClock } from "../../system-ports.ts";
import type { TestPostgres } from "../../store/test-postgres.ts";
import { createWorld, settle, template } from "../test-world.ts";
import { createMoveLoad } from "./move-load.ts";
import { reconcileMove } from "./reconcile-move.ts";

/** Two stamps with databases of their own and the real mover between them; everything goes through `setPoint`. */
export type MoveWorld = Awaited<ReturnType<typeof createMoveWorld>>;
export const [from, to] = ["move-a", "move-b"] as const;

const database: Component = {
  kind: "postgres",
  name: "db",
  version: 18,
  maxConnections: 20,
  resources: {},
  protect: true,
  ids: {},
  via: {},
  fence: "enforce",
} satisfies PostgresComponent;

const tableSql = `create table if not exists notes (tenant_id text not null, id text not null, body text,
  primary key (tenant_id, id)); grant select, insert, update, delete on notes to stampyard_app, stampyard_mover`;

export async function createMoveWorld(postgres: TestPostgres, edit: Partial<Template> = {}) {
  const stages = [
    { name: "main", engine: "local" as const, components: [database, serviceFixture("api", "serve.mjs")] },
  ];
  const world = await createWorld(postgres, { ...template, stages, ...edit });
  const databases = new Map<string, pg.Client>();
  for (const name of [from, to]) {
    const url = (await world.giveDatabase(name)).replace("stampyard_mover@", "postgres@");
    const admin = new pg.Client({ connectionString: url });
    await admin.connect();
    await admin.query(tableSql);
    const table = { schema: "public", table: "notes", tenantColumn: "tenant_id", key: ["tenant_id", "id"] };
    await installFence(admin, [table], "enforce", { clock: systemClock });
    await world.createStamp(name, "eu");
    databases.set(name, admin);
  }
  await settle(world, world.freshDeps());
  const writeOnce = writerOf(databases);
  return {
    ...world,
    databases,
    async createTenant(key: string, rows: number): Promise<void> {
      await world.store.tenants.create({ key, pool: "main", stamp: from }, world.ctx());
      await settle(world, world.freshDeps());
      const sql = "insert into notes select $1, 'old-' || g, 'kept' from generate_series(1, $2::int) g";
      await databases.get(from)?.query(sql, [key, rows]);
    },
    /** Turns until it has ended, or rests, as one process makes them; leaps over planned waits. */
    async settleMove(
      id: string,
      signal = new AbortController().signal,
      isOver = hasEnded,
      gone?: string,
      freshDeps = world.freshDeps,
    ): Promise<Move> {
      const fresh = freshDeps();
      const stamps = {
        ...fresh.store.stamps,
        read: async (name: string) => (name === gone ? undefined : await world.store.stamps.read(name)),
      };
      const deps = { ...fresh, store: { ...fresh.store, stamps }, moveLoad: createMoveLoad() };
      const turn = { token: world.token, signal };
      for (let n = 0; n < 200; n++) {
        const end = await reconcileMove(deps, id, turn);
        const move = (await world.store.moves.read(id))?.value;
        if (move === undefined) throw new Error(`No move ${id}`);
        if (isOver(move)) return move;
        if (end.kind === "rest" && end.until !== undefined)
          world.clock.leap(Math.max(0, end.until - world.clock.now()));
      }
      throw new Error(`Move ${id} does not come to rest: ${JSON.stringify((await world.store.moves.read(id))?.value)}`);
    },
    /** A write of the application, wherever it is let in: never by two, and not by a mover's leave. */
    write: writeOnce,
    async rowsIn(name: string, tenant: string): Promise<readonly string[]> {
      const client = databases.get(name);
      const found = await client?.query<{ id: string }>("select id from notes where tenant_id = $1 order by id", [
        tenant,
      ]);
      return found?.rows.map(({ id }) => id) ?? [];
    },
    async homeIn(name: string, tenant: string): Promise<Record<string, unknown> | undefined> {
      const sql = "select state, epoch::int, move_id, watching from stampyard.tenant_home where tenant = $1";
      return (await databases.get(name)?.query(sql, [tenant]))?.rows[0] as Record<string, unknown> | undefined;
    },
    expectNothingLeft: () => expectNothingLeft(databases),
    async [Symbol.asyncDispose]() {
      for (const client of databases.values()) await client.end();
      await world[Symbol.asyncDispose]();
    },
  };
}

export function hasEnded({ state }: Move): boolean {
  return endedMoves.includes(state.kind);
}

/** One write after the other, each tried in every database as the application would. @returns where it was let in */
function writerOf(databases: ReadonlyMap<string, pg.Client>) {
  let writing: Promise<unknown> = Promise.resolve();
  async function writeOnce(tenant: string, id: string): Promise<string | undefined> {
    const taken: string[] = [];
    for (const [name, client] of databases) {
      await client.query("begin; set local session authorization stampyard_app");
      try {
        await client.query("insert into notes values ($1, $2, 'new')", [tenant, id]);
        await client.query("commit");
        taken.push(name);
      } catch (caught) {
        await client.query("rollback");
        expect(caught).toMatchObject({ code: "SY001" });
      }
    }
    expect(taken.length, `tenant ${tenant} is written by one stamp (I16)`).toBeLessThan(2);
    return taken[0];
  }
  return (tenant: string, id: string): Promise<string | undefined> => {
    const written = writing.then(() => writeOnce(tenant, id));
    writing = written.catch(() => {});
    return written;
  };
}

/** What moves must not leave behind (I22). */
async function expectNothingLeft(databases: ReadonlyMap<string, pg.Client>): Promise<void> {
  for (const [name, client] of databases) {
    for (const table of ["move_change", "move_copied", "move_brought", "move_verified"]) {
      const { rows } = await client.query(`select count(*)::int as n from stampyard.${table}`);
      expect(rows[0], `${table} of ${name}`).toEqual({ n: 0 });
    }
    const { rows } = await client.query(
      "select tenant from stampyard.tenant_home where state in ('importing', 'fenced')",
    );
    expect(rows, `homes of ${name}`).toEqual([]);
  }
}
