import { type Move, type Mover, type MoverPolicy, StampyardError } from "@stampyard/domain";
import { installFence, openRowsMover, readTables, tablesToFence } from "@stampyard/movers";
import { moveFixture } from "@stampyard/testing";
import type { TestDatabase } from "./cluster.ts";
import { clock } from "./fence-bed.ts";

/** A stamp's two databases, and what the template says of them. */
export interface Pair {
  readonly from: TestDatabase;
  readonly to: TestDatabase;
  readonly policy: MoverPolicy;
}

export interface PairOptions {
  /** Run on both sides, as the owner of the tables. */
  readonly schema: string;
  readonly policy?: Partial<MoverPolicy>;
  /** Rows of `acme` on the source, written by the application. */
  readonly rows?: string;
  /** Tenants at home on the source; `cargo` is at home on the target. @default acme and bolt */
  readonly tenants?: readonly string[];
}

export const plainPolicy: MoverPolicy = { tenantColumn: "tenant_id", ids: {}, via: {}, reference: [], ignored: [] };

/** Fenced, with homes; nothing moves yet. */
export async function preparePair(from: TestDatabase, to: TestDatabase, options: PairOptions): Promise<Pair> {
  const policy = { ...plainPolicy, ...options.policy };
  for (const db of [from, to]) {
    await db.run("stampyard_owner", options.schema);
    await using admin = await db.connect("postgres");
    await installFence(admin, tablesToFence(await readTables(admin), policy).tables, "enforce", { clock });
    const tenants = db === from ? (options.tenants ?? ["acme", "bolt"]) : ["cargo"];
    const homes = "insert into stampyard.tenant_home (tenant, state, epoch) select unnest($1::text[]), 'active', 1";
    await admin.query(homes, [tenants]);
  }
  if (options.rows !== undefined) await from.run("stampyard_app", options.rows);
  return { from, to, policy };
}

export function openPair({ from, to, policy }: Pair, edit: Partial<Move> = {}): Promise<Mover> {
  return openRowsMover({
    move: moveFixture({ verify: "incremental", ...edit }),
    policy,
    clock,
    source: from.url("stampyard_mover"),
    target: to.url("stampyard_mover"),
  });
}

export type PairStep = (typeof steps)[number];
const steps = [
  "check",
  "admit",
  "arm",
  "copy",
  "follow",
  "verify",
  "fence",
  "settle",
  "flip",
  "open",
  "compare",
] as const;
export const call = { signal: new AbortController().signal };

export interface Steps {
  /** Called before a step. */
  readonly before?: (step: PairStep) => Promise<void> | void;
  readonly until?: PairStep;
}

/** One move from its check to the open target, without a control plane; `compare` only where its policy asks for it. */
export async function moveBy(mover: Mover, verify: Move["verify"] = "incremental", options: Steps = {}): Promise<void> {
  for (const step of steps) {
    await options.before?.(step);
    if (step === options.until) return;
    if (step === "verify" && verify !== "incremental") continue;
    if (step === "compare" && verify !== "after") continue;
    if (step === "check") {
      const { problems } = await mover.check(call);
      if (problems.length > 0)
        throw new Error(`Refused: ${problems.map(({ where, what }) => `${where} ${what}`).join("; ")}`);
    } else if (step === "flip") {
      if (!(await mover.flip(call))) throw new Error("The fence had opened before the flip");
    } else if (step === "compare") {
      const compared = await mover.compare(call);
      if (compared?.isEqual === true) continue;
      const problems = (compared?.differences ?? []).map(({ table, key, what }) => ({
        message: `${table} ${key}: ${what}`,
      }));
      throw new StampyardError("NOT_EQUAL", "The copies differ after the flip", { problems });
    } else {
      await mover[step](call);
    }
  }
}

/** Each row as text, sorted by its bytes: the same on both sides when the rows are. */
export async function rowsOf(db: TestDatabase, table: string, where = "tenant_id = 'acme'"): Promise<string[]> {
  await using connection = await db.connect("postgres");
  await connection.query("set timezone = 'UTC'");
  const { rows } = await connection.query(
    `select md5(t::text) || ' ' || left(t::text, 80) as row from ${table} t where ${where} order by t::text collate "C"`,
  );
  return rows.map((row) => String(row["row"]));
}

/** A statement past every fence, as nobody should: on the target it breaks what a move has brought. */
export async function pastTheFence(db: TestDatabase, sql: string): Promise<void> {
  await db.run("postgres", `set session_replication_role = replica; ${sql}`);
}
