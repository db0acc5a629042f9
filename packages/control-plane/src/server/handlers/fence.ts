import type { FenceView } from "@stampyard/api";
import { type Stamp, StampyardError } from "@stampyard/domain";
import {
  describeBlocker,
  holdersOf,
  planFence,
  readFence,
  readReport,
  readTables,
  type SqlClient,
  type TableName,
  tablesToFence,
} from "@stampyard/movers";
import { applyFence } from "../../fence/ensure-fence.ts";
import { type FenceDatabase, fenceDatabases, withAdmin } from "../../fence/fence-database.ts";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";

type Mode = "off" | "report" | "enforce";
type DatabaseView = FenceView["databases"][number];
type Reachable = FenceDatabase & { readonly url: string };

export function fenceHandlers(deps: ServerDeps): Pick<Handlers, "fenceGet" | "fenceSet"> {
  return {
    async fenceGet({ params, signal }) {
      const { stamp, databases } = await reach(deps, params.name, signal);
      return { stamp: stamp.name, databases: await lookAtAll(stamp, databases) };
    },

    async fenceSet(call) {
      const { mode, dryRun, reason } = call.body;
      const { stamp, databases } = await reach(deps, call.params.name, call.signal);
      if (dryRun) return { stamp: stamp.name, databases: await lookAtAll(stamp, databases, mode) };
      const ctx = writeContext(deps, call, reason);
      if (mode !== "enforce") await requireNoMoves(deps, stamp.name);
      await deps.store.stamps.fence(stamp.name, { mode, isDone: false }, ctx);
      for (const database of databases) await applyFence(deps, stamp, database, mode, call.signal);
      const { value: now } = await deps.store.stamps.fence(stamp.name, { mode, isDone: true }, ctx);
      if (now.adoption?.capabilities.fence === true) {
        // Whoever came while it was installed: from here on each new tenant's home is written with it.
        for (const database of databases) await applyFence(deps, stamp, database, mode, call.signal);
      }
      return { stamp: stamp.name, databases: await lookAtAll(stamp, databases) };
    },
  };
}

/** One that was asked for may be armed at any moment: the databases say so only from then on. */
async function requireNoMoves({ store }: ServerDeps, stamp: string): Promise<void> {
  const [move] = (await store.moves.list({ stamp, isOpen: true, limit: 1 })).items;
  if (move === undefined) return;
  throw new StampyardError("WRONG_PHASE", `The fence of stamp ${stamp} is needed by move ${move.value.id}`, {
    mend: "Wait for its end, or end it: stampyard move abort, stampyard move finish.",
  });
}

async function reach(
  deps: ServerDeps,
  name: string,
  signal: AbortSignal,
): Promise<{ readonly stamp: Stamp; readonly databases: readonly Reachable[] }> {
  const found = await deps.store.stamps.read(name);
  if (found === undefined) throw new StampyardError("STAMP_NOT_FOUND", `No stamp ${name}`);
  const { value: stamp } = found;
  const all = await fenceDatabases(deps, stamp, await deps.specOf(stamp), signal);
  const databases = all.filter((database): database is Reachable => database.url !== undefined);
  if (databases.length > 0) return { stamp, databases };
  const isAdopted = stamp.origin === "adopted" && stamp.adoption?.hasDatabase !== true;
  throw new StampyardError("WRONG_PHASE", `Stamp ${name} has no database that a fence could be put on`, {
    mend: isAdopted
      ? "Repeat stampyard stamp adopt with --database-url-file."
      : "A fence needs a postgres component, and tenancy.model rows with its column.",
  });
}

async function lookAtAll({ name }: Stamp, databases: readonly Reachable[], planned?: Mode): Promise<DatabaseView[]> {
  return await Promise.all(
    databases.map((database) => withAdmin(name, database.name, database.url, (db) => look(db, database, planned))),
  );
}

async function look(db: SqlClient, { name, declared, policy }: Reachable, planned?: Mode): Promise<DatabaseView> {
  const seen = await readFence(db);
  const { tables, unknown } = tablesToFence(await readTables(db), policy);
  const modes = new Map(seen.tables.map((table) => [nameOf(table), table.mode]));
  const paths = new Map(tables.map((table) => [nameOf(table), (table.via ?? []).map(({ to }) => nameOf(to))]));
  // One that is fenced and not of tenants any more is shown, too: the next installation takes it off.
  const names = [...new Set([...paths.keys(), ...modes.keys()])].sort();
  const plan = planned === undefined ? {} : await planView(db, tables, planned);
  return {
    name,
    ...(declared === undefined ? {} : { declared }),
    holdsTables: seen.guardsDdl,
    tables: names.map((table) => {
      const via = paths.get(table) ?? [];
      return { table, mode: modes.get(table) ?? "off", ...(via.length === 0 ? {} : { via }) };
    }),
    unknown: unknown.map(nameOf),
    report: seen.version === undefined ? [] : await reportView(db),
    ...plan,
  };
}

async function reportView(db: SqlClient): Promise<DatabaseView["report"]> {
  return (await readReport(db)).map(({ schema, table, ...line }) => ({ table: nameOf({ schema, table }), ...line }));
}

async function planView(
  db: SqlClient,
  tables: ReturnType<typeof tablesToFence>["tables"],
  mode: Mode,
): Promise<Pick<DatabaseView, "changes" | "homeless">> {
  const { install, remove, homeless } = await planFence(db, tables, mode);
  const changes: NonNullable<DatabaseView["changes"]> = [];
  for (const [change, list] of [
    ["install", install],
    ["remove", remove],
  ] as const) {
    for (const table of list) {
      changes.push({ table: nameOf(table), change, heldBy: (await holdersOf(db, table)).map(describeBlocker) });
    }
  }
  return { changes, homeless: homeless.map((one) => ({ table: nameOf(one), tenants: [...one.tenants] })) };
}

function nameOf({ schema, table }: TableName): string {
  return `${schema}.${table}`;
}
