import {
  adoptedDatabaseSecret,
  findComponent,
  type MoverPolicy,
  type PostgresComponent,
  type Stamp,
  type StampEngine,
  type StampSpec,
  StampyardError,
} from "@stampyard/domain";
import type { SqlClient } from "@stampyard/movers";
import pg from "pg";
import type { Store } from "../store/port.ts";

/** One database of a stamp, as far as the fence needs it. */
export interface FenceDatabase {
  /** The component's name; of an adopted stamp `database`. */
  readonly name: string;
  /** What the template says; absent = nothing, and then nothing is changed by itself. */
  readonly declared?: "off" | "report" | "enforce";
  readonly policy: MoverPolicy;
  /** Of a role that may change tables: a secret, for connecting only. Absent where the engine has none. */
  readonly url?: string;
}

export interface FenceDeps {
  readonly engine: Pick<StampEngine, "adminUrl">;
  readonly store: Pick<Store, "stamps" | "fleet" | "tenants">;
}

const connectTimeoutMs = 5_000;
const statementTimeoutMs = 60_000;

/** The databases of a stamp whose tenants are told apart by a column; none where they are not. */
export async function fenceDatabases(
  deps: FenceDeps,
  stamp: Stamp,
  spec: StampSpec,
  signal: AbortSignal,
): Promise<readonly FenceDatabase[]> {
  if (stamp.origin === "adopted") return await adoptedDatabase(deps, stamp);
  const { tenancy } = spec.rendered;
  if (tenancy.model !== "rows") return [];
  const components = findComponent(spec.rendered, "postgres");
  return await Promise.all(
    components.map(async (component) => {
      const url = await deps.engine.adminUrl?.(spec, component.name, signal);
      const declared = component.fence === undefined ? {} : { declared: component.fence };
      const policy = policyOf(component, tenancy.column);
      return { name: component.name, policy, ...declared, ...(url === undefined ? {} : { url }) };
    }),
  );
}

/** One fleet is one application (decision D1): its template says what an adopted copy of it does not. */
async function adoptedDatabase({ store }: FenceDeps, { name }: Stamp): Promise<readonly FenceDatabase[]> {
  const [secrets, fleet] = await Promise.all([store.stamps.secrets(name), store.fleet.read()]);
  const release = fleet === undefined ? undefined : await store.fleet.release(fleet.value.release);
  if (release === undefined || release.template.tenancy.model !== "rows") return [];
  const { tenancy } = release.template;
  const policy = policyOf(findComponent(release.template, "postgres")[0], tenancy.column);
  const url = secrets[adoptedDatabaseSecret];
  return [{ name: "database", policy, ...(url === undefined ? {} : { url }) }];
}

function policyOf(component: PostgresComponent | undefined, tenantColumn: string): MoverPolicy {
  const { ids = {}, via = {}, reference = [], ignored = [] } = component ?? {};
  return { tenantColumn, ids, via, reference, ignored };
}

/** Works on one connection of the administrator's. @throws StampyardError STAMP_UNREACHABLE for what is not ours */
export async function withAdmin<T>(
  stamp: string,
  database: string,
  url: string,
  work: (db: SqlClient) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    application_name: "stampyard fence",
    connectionTimeoutMillis: connectTimeoutMs,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + 5_000,
  });
  // A connection that dies between two statements is told by the next one.
  client.on("error", () => {});
  try {
    await client.connect();
    return await work(client);
  } catch (caught) {
    if (caught instanceof StampyardError) throw caught;
    throw new StampyardError("STAMP_UNREACHABLE", `Cannot work in ${database} of stamp ${stamp}: ${reasonOf(caught)}`, {
      cause: caught,
    });
  } finally {
    await client.end().catch(() => {});
  }
}

/** What PostgreSQL or the socket says; neither quotes a password. */
function reasonOf(caught: unknown): string {
  return caught instanceof Error && caught.message !== "" ? caught.message : "no reason given";
}
