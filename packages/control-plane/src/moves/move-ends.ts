import {
  adoptedDatabaseSecret,
  findComponent,
  type Move,
  type MoverPolicy,
  type Stamp,
  type StampEngine,
  type StampSpec,
} from "@stampyard/domain";
import type { Store } from "../store/port.ts";

/** One side of a move. */
export interface MoveEnd {
  readonly name: string;
  /** Absent = it is destroyed, and its databases with it. */
  readonly stamp?: Stamp;
  readonly spec?: StampSpec;
  /** Of the mover's role: a secret, for connecting only. Absent where there is none to be had. */
  readonly url?: string;
}

export interface MoveEnds {
  readonly source: MoveEnd;
  readonly target: MoveEnd;
}

export interface EndDeps {
  readonly store: Pick<Store, "stamps">;
  readonly engine: Pick<StampEngine, "operatorUrl" | "freeBytes">;
  readonly specOf: (stamp: Stamp) => Promise<StampSpec>;
}

/** What is known of both stamps of a move, and how to reach their databases. */
export async function readEnds(
  deps: EndDeps,
  { from, to }: Pick<Move, "from" | "to">,
  signal: AbortSignal,
): Promise<MoveEnds> {
  const [source, target] = await Promise.all([readEnd(deps, from, signal), readEnd(deps, to, signal)]);
  return { source, target };
}

async function readEnd(deps: EndDeps, name: string, signal: AbortSignal): Promise<MoveEnd> {
  const stamp = (await deps.store.stamps.read(name))?.value;
  if (stamp === undefined || stamp.state.kind === "gone") return { name };
  const spec = await deps.specOf(stamp);
  const url = await databaseUrl(deps, stamp, spec, signal);
  return { name, stamp, spec, ...(url === undefined ? {} : { url }) };
}

/** A stamp whose databases are several has none that holds all of a tenant: `whyUnmovable` says so. */
async function databaseUrl(
  { store, engine }: EndDeps,
  stamp: Stamp,
  spec: StampSpec,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (stamp.origin === "adopted") return (await store.stamps.secrets(stamp.name))[adoptedDatabaseSecret];
  const [database, another] = findComponent(spec.rendered, "postgres");
  if (database === undefined || another !== undefined) return undefined;
  return await engine.operatorUrl(spec, database.name, signal);
}

/** Of the stamp that has a template: the other may be adopted. Undefined = no template says how its tenants are told apart. */
export function policyOf({ source, target }: MoveEnds): MoverPolicy | undefined {
  const spec = [source, target].find(({ stamp }) => stamp?.origin === "built")?.spec;
  if (spec === undefined) return undefined;
  const { tenancy } = spec.rendered;
  const [database] = findComponent(spec.rendered, "postgres");
  if (database === undefined || tenancy.model !== "rows") return undefined;
  const { ids, via, reference = [], ignored = [] } = database;
  return { tenantColumn: tenancy.column, ids, via, reference, ignored };
}
