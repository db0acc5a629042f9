import { type HomeSeen, type Move, type MoverSight, wayBackOf } from "@stampyard/domain";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import { literal, qualified, sqlStateOf } from "./sql.ts";
import type { SideName, Sides } from "./sides.ts";
import { fewBrought } from "./verify-rows.ts";
import { ofTenant } from "./via.ts";

/** Captured changes are counted up to here; more is simply many. */
const mostCounted = 10_000;
/** A database that does not answer by then is not there. */
const lookTimeoutMs = 5_000;

interface SourceSeen {
  readonly home: HomeSeen;
  readonly lag: number;
}

interface TargetSeen {
  readonly home: HomeSeen;
  readonly isCopied: boolean;
  readonly isCompared: boolean;
  readonly isEqual?: boolean;
  readonly hasNotes: boolean;
}

/** Reads both databases at once; one that does not answer is `unknown`, and why. */
export async function lookAt(
  sides: Sides,
  move: Move,
  tablesOf: () => Promise<readonly MoveTable[]>,
): Promise<MoverSight> {
  const [source, target] = await Promise.all([
    attempt<SourceSeen>(sides, "source", (db) => lookAtSource(db, move), { lag: 0 }),
    attempt<TargetSeen>(sides, "target", (db) => lookAtTarget(db, move), {
      isCopied: false,
      isCompared: false,
      hasNotes: true,
    }),
  ]);
  const { home, lag } = source;
  const isErased =
    isDecidedBy(home, move.id) && !isCapturing(target, move) && (await hasNoRows(sides, move.tenant, tablesOf));
  return {
    source: home,
    target: target.home,
    isCopied: target.isCopied,
    lag,
    isCompared: target.isCompared,
    ...(target.isEqual === undefined ? {} : { isEqual: target.isEqual }),
    isErased,
  };
}

function isDecidedBy(home: HomeSeen, moveId: string): boolean {
  return home.kind === "present" && home.state === "moved" && home.moveId === moveId;
}

function isCapturing({ home, hasNotes }: TargetSeen, move: Move): boolean {
  if (hasNotes || home.kind === "unknown") return true;
  return home.kind === "present" && home.isWatched === true && home.moveId === wayBackOf(move.id);
}

/** Nothing that goes wrong here may end a turn: what cannot be known is told as unknown. */
async function attempt<T extends { readonly home: HomeSeen }>(
  sides: Sides,
  side: SideName,
  read: (db: MoverDb) => Promise<T>,
  otherwise: Omit<T, "home">,
): Promise<T | (Omit<T, "home"> & { readonly home: HomeSeen })> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      // Whatever it still says would be taken for the answer to another question.
      sides.drop(side);
      reject(new Error(`no answer in ${lookTimeoutMs} ms`));
    }, lookTimeoutMs);
  });
  try {
    return await Promise.race([sides.db(side).then(read), late]);
  } catch (caught) {
    const why = caught instanceof Error ? caught.message : String(caught);
    return { ...otherwise, home: { kind: "unknown", why } };
  } finally {
    clearTimeout(timer);
  }
}

const homeColumns = "h.state, h.epoch::float8 as epoch, h.move_id";

async function lookAtSource(db: MoverDb, move: Move): Promise<SourceSeen> {
  const rows = await orUnfenced(
    () =>
      db.query(
        `select ${homeColumns}, h.watching, (select count(*)::int from (
           select from stampyard.move_change c where c.move_id = $2 limit ${mostCounted}) c) as lag
         from (select) one left join stampyard.tenant_home h on h.tenant = $1`,
        [move.tenant, move.id],
      ),
    () => db.query(`select ${homeColumns} from stampyard.tenant_home h where h.tenant = $1`, [move.tenant]),
  );
  return { home: homeOf(rows[0]), lag: Number(rows[0]?.["lag"] ?? 0) };
}

async function lookAtTarget(db: MoverDb, move: Move): Promise<TargetSeen> {
  const rows = await orUnfenced(
    () =>
      db.query(
        `select ${homeColumns}, h.watching, c.position as copied, v.position as verified, (select count(*)::int from (
           select from stampyard.move_brought b where b.move_id = $2 limit ${fewBrought + 1}) b) as brought
         from (select) one left join stampyard.tenant_home h on h.tenant = $1
           left join stampyard.move_copied c on c.move_id = $2 left join stampyard.move_verified v on v.move_id = $2`,
        [move.tenant, move.id],
      ),
    () => db.query(`select ${homeColumns} from stampyard.tenant_home h where h.tenant = $1`, [move.tenant]),
  );
  const row = rows[0];
  const copied = row?.["copied"] as { readonly isDone?: boolean } | null | undefined;
  const verified = row?.["verified"] as { readonly isWhole?: boolean; readonly isEqual?: boolean } | null | undefined;
  return {
    home: homeOf(row),
    isCopied: copied?.isDone === true,
    isCompared: verified?.isWhole === true && Number(row?.["brought"]) <= fewBrought,
    ...(typeof verified?.isEqual === "boolean" ? { isEqual: verified.isEqual } : {}),
    hasNotes: copied !== null && copied !== undefined,
  };
}

/** Before the fence is installed our tables are not all there, and the move's check has yet to see to it. */
async function orUnfenced(
  whole: () => ReturnType<MoverDb["query"]>,
  plain: () => ReturnType<MoverDb["query"]>,
): Promise<Record<string, unknown>[]> {
  try {
    return (await whole()).rows;
  } catch (caught) {
    if (!["42P01", "42703", "42501"].includes(sqlStateOf(caught) ?? "")) throw caught;
    return (await plain()).rows;
  }
}

function homeOf(row: Record<string, unknown> | undefined): HomeSeen {
  const state = row?.["state"];
  if (row === undefined || state === null || state === undefined) return { kind: "absent" };
  return {
    kind: "present",
    state: state as Extract<HomeSeen, { kind: "present" }>["state"],
    epoch: Number(row["epoch"]),
    ...(typeof row["move_id"] === "string" ? { moveId: row["move_id"] } : {}),
    ...(row["watching"] === true ? { isWatched: true } : {}),
  };
}

/** One question over all tables, which ends at the first row that is found. */
async function hasNoRows(
  sides: Sides,
  tenant: string,
  tablesOf: () => Promise<readonly MoveTable[]>,
): Promise<boolean> {
  try {
    const tables = await tablesOf();
    if (tables.length === 0) return true;
    const any = tables.map(
      (table) => `exists (select from ${qualified(table)} t where ${ofTenant(table, "t", literal(tenant))})`,
    );
    const { rows } = await (await sides.db("source")).query(`select ${any.join(" or ")} as found`);
    return rows[0]?.["found"] === false;
  } catch {
    return false;
  }
}
