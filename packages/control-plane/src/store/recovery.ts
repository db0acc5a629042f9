import type { DirectoryReport } from "@stampyard/directory";
import { isReservedTenantKey, StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import { type Claim, planRecovery, type RecoveryFacts, type RecoveryPlan } from "./recovery-plan.ts";
import type { RememberedMove } from "./recovery-moves.ts";
import { endedList } from "./move-rows.ts";
import { stopRollouts } from "./recovery-rollouts.ts";
import { applyRecovery, directoryDifference } from "./recovery-apply.ts";
import type { RecoveryEntry, RecoveryStore } from "./port.ts";
import type { HomeClaim, RecoveryReport, StoreMeta, WriteContext } from "./records.ts";
import { audit, insertChanges, type StoreBase, type Write, write } from "./write.ts";

export function recoveryStore(base: StoreBase): RecoveryStore {
  return {
    enter: (reason, ctx, options) => enter(base, reason, ctx, options),
    saveRouterReport: (report) => saveRouterReport(base, report),
    saveStampHomes: (stamp, homes, ctx) => saveStampHomes(base, stamp, homes, ctx),
    report: async () => {
      const meta = await readMeta(base.db);
      return reportOf(meta, await readFacts(base.db));
    },
    resolve: (decisions, ctx) =>
      write(base, ctx, async (w) => {
        requireRecovering(w);
        for (const { tenant, stamp } of decisions) {
          await w.query(
            `INSERT INTO recovery_decisions (tenant, stamp) VALUES ($1, $2)
             ON CONFLICT (tenant) DO UPDATE SET stamp = excluded.stamp`,
            [tenant, stamp ?? null],
          );
        }
        await audit(w, "recovery.resolve", "recovery", { decisions });
      }),
    finish: (options, ctx) => finish(base, options.incomplete, ctx),
  };
}

export async function readMeta(tx: Queryable): Promise<StoreMeta> {
  const { rows } = await tx.query<{
    fleet_id: string;
    incarnation: number;
    mode: StoreMeta["mode"];
    mode_reason: string | null;
    schema: number;
  }>("SELECT m.*, (SELECT max(version) FROM migrations) AS schema FROM meta m");
  const [row] = rows;
  if (row === undefined) throw new StampyardError("INTERNAL", "The store has no meta row");
  return {
    fleetId: row.fleet_id,
    incarnation: row.incarnation,
    mode: row.mode,
    ...(row.mode_reason === null ? {} : { modeReason: row.mode_reason }),
    schemaVersion: row.schema,
  };
}

/**
 * Stamp hosts refuse tokens below the highest they saw (I28), and a store that was set back lost count. Its first
 * parameter is the new incarnation. The lease is free after it, so that a new term begins with a token above it.
 */
export const tokenAboveEarlierLives = `UPDATE lease SET token = greatest(token + 1, ($1::bigint - 1) * 4294967296),
  holder = NULL, expires_at = now()`;

function enter(
  base: StoreBase,
  reason: string,
  ctx: WriteContext,
  { incarnationAtLeast = 0, newTerm = false }: RecoveryEntry = {},
): Promise<StoreMeta> {
  return write(base, ctx, async (w) => {
    if (w.mode === "recovering") return readMeta(w);
    // Waits for every write that still thinks the mode is normal: they hold this row FOR SHARE. Ours does too, and a
    // share lock that two of us want to raise is a deadlock, which the loser repeats.
    const incarnation = Math.max(w.incarnation + 1, incarnationAtLeast);
    await w.query(
      "UPDATE meta SET mode = 'recovering', mode_reason = $1, mode_at = clock_timestamp(), incarnation = $2",
      [reason, incarnation],
    );
    await w.query("DELETE FROM recovery_sources");
    await w.query("DELETE FROM recovery_decisions");
    const rollouts = await stopRollouts(w, reason, base.now());
    await audit(w, "recovery.enter", "recovery", { reason, incarnation, rollouts });
    if (newTerm) await w.query(tokenAboveEarlierLives, [incarnation]);
    w.tell({ kind: "mode", mode: "recovering" });
    return readMeta(w);
  });
}

/** Routers report what they hold; the store only notes it, so it takes no lease and leaves no audit row. */
async function saveRouterReport({ db }: StoreBase, report: DirectoryReport): Promise<void> {
  const source = `router/${report.router}`;
  await db.transaction(async (tx) => {
    const { rows } = await tx.query<{ mode: string }>("SELECT mode FROM meta FOR SHARE");
    if (rows[0]?.mode !== "recovering") return;
    if (report.part === 0) await tx.query("DELETE FROM recovery_sources WHERE source = $1", [source]);
    await tx.query(
      `INSERT INTO recovery_sources (source, complete, incarnation, version) VALUES ($1, $2, $3, $4)
       ON CONFLICT (source) DO UPDATE SET complete = excluded.complete`,
      [source, report.last, report.incarnation, report.version],
    );
    const claims = report.changes.flatMap((change) =>
      change.kind === "tenant-put"
        ? [
            {
              source,
              tenant: change.tenant,
              stamp: change.stamp,
              epoch: change.epoch,
              state: "routed",
              hostnames: [...change.hostnames, ...(change.aliases ?? [])].sort(),
            },
          ]
        : [],
    );
    await insertClaims(tx, claims);
  });
}

function saveStampHomes(base: StoreBase, stamp: string, homes: readonly HomeClaim[], ctx: WriteContext): Promise<void> {
  return write(base, ctx, async (w) => {
    requireRecovering(w);
    const source = `stamp/${stamp}`;
    await w.query("DELETE FROM recovery_sources WHERE source = $1", [source]);
    await w.query("INSERT INTO recovery_sources (source, complete) VALUES ($1, true)", [source]);
    await insertClaims(
      w,
      homes.map((home) => ({ ...home, source, stamp, hostnames: [] })),
    );
    await audit(w, "recovery.read-stamp", `stamp/${stamp}`, { homes: homes.length });
  });
}

async function insertClaims(tx: Queryable, all: readonly Claim[]): Promise<void> {
  // A crash in the middle of a verification leaves a tenant of our own; nobody lives there.
  const claims = all.filter((claim) => !isReservedTenantKey(claim.tenant));
  await tx.query(
    `INSERT INTO recovery_claims (source, tenant, stamp, epoch, state, hostnames, move_id, moved_to, watched)
     SELECT source, tenant, stamp, epoch, state, ARRAY(SELECT jsonb_array_elements_text(hostnames::jsonb)),
       move_id, moved_to, watched
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[],
       $9::boolean[]) AS t (source, tenant, stamp, epoch, state, hostnames, move_id, moved_to, watched)
     ON CONFLICT (source, tenant) DO UPDATE SET stamp = excluded.stamp, epoch = excluded.epoch, state = excluded.state,
       hostnames = excluded.hostnames, move_id = excluded.move_id, moved_to = excluded.moved_to,
       watched = excluded.watched`,
    [
      claims.map((c) => c.source),
      claims.map((c) => c.tenant),
      claims.map((c) => c.stamp),
      claims.map((c) => c.epoch),
      claims.map((c) => c.state),
      claims.map((c) => JSON.stringify(c.hostnames)),
      claims.map((c) => c.moveId ?? null),
      claims.map((c) => c.movedTo ?? null),
      claims.map((c) => c.isWatched === true),
    ],
  );
}

/** Routers need this long to notice that the control plane is back; one that nobody waits for could not be heard. */
const routerGrace = "interval '5 seconds'";

interface RememberedRow extends Record<string, unknown> {
  key: string;
  phase: RecoveryFacts["tenants"][number]["phase"];
  stamp: string | null;
  epoch: number;
  hostnames: string[];
  move: string | null;
}

interface ClaimRow extends Omit<Claim, "moveId" | "movedTo" | "isWatched">, Record<string, unknown> {
  move_id: string | null;
  moved_to: string | null;
  watched: boolean;
}

function toClaim({ source, tenant, stamp, epoch, state, hostnames, move_id, moved_to, watched }: ClaimRow): Claim {
  return {
    source,
    tenant,
    stamp,
    epoch,
    state,
    hostnames,
    ...(move_id === null ? {} : { moveId: move_id }),
    ...(moved_to === null ? {} : { movedTo: moved_to }),
    ...(watched ? { isWatched: true } : {}),
  };
}

interface Facts extends RecoveryFacts {
  readonly reports: RecoveryReport["reports"];
  /** Highest incarnation that a router has seen: ours must be above it. */
  readonly highestIncarnation: number;
}

async function readFacts(tx: Queryable): Promise<Facts> {
  const tenants = await tx.query<RememberedRow>(
    `SELECT key, phase, stamp, epoch, state ->> 'move' AS move,
       ARRAY(SELECT hostname FROM tenant_hostnames h WHERE h.tenant = tenants.key) AS hostnames FROM tenants`,
  );
  const epochs = await tx.query<{ key: string; epoch: number }>("SELECT key, epoch FROM tenant_epochs");
  const stamps = await tx.query<{ name: string; origin: string }>(
    "SELECT name, origin FROM stamps WHERE phase <> 'requested' ORDER BY name",
  );
  const routers = await tx.query<{ name: string }>(
    "SELECT name FROM routers WHERE last_seen_at > clock_timestamp() - interval '15 seconds' ORDER BY name",
  );
  const early = await tx.query<{ early: boolean }>(
    `SELECT greatest(mode_at, acquired_at) > clock_timestamp() - ${routerGrace} AS early FROM meta, lease`,
  );
  const sources = await tx.query<{
    source: string;
    complete: boolean;
    incarnation: number;
    tenants: number;
    newest: boolean;
  }>(
    `SELECT source, complete, incarnation,
       (SELECT count(*) FROM recovery_claims c WHERE c.source = s.source) AS tenants,
       source LIKE 'router/%' AND complete AND version >= (SELECT version FROM directory_head)
         AND rank() OVER (PARTITION BY source LIKE 'router/%' AND complete ORDER BY incarnation DESC, version DESC) = 1
         AS newest
     FROM recovery_sources s ORDER BY source`,
  );
  const claims = await tx.query<ClaimRow>("SELECT * FROM recovery_claims ORDER BY tenant, source");
  const moves = await tx.query<RememberedMove & Record<string, unknown>>(
    `SELECT id, tenant, from_stamp AS from, to_stamp AS to, epoch, phase FROM moves
     WHERE phase NOT IN (${endedList}) ORDER BY number`,
  );
  const known = await tx.query<{ id: string }>("SELECT id FROM moves");
  const decisions = await tx.query<{ tenant: string; stamp: string | null }>(
    "SELECT tenant, stamp FROM recovery_decisions",
  );
  return {
    tenants: tenants.rows.map(({ stamp, move, ...row }) => ({
      ...row,
      ...(stamp === null ? {} : { stamp }),
      ...(move === null ? {} : { move }),
    })),
    goneEpochs: new Map(epochs.rows.map(({ key, epoch }) => [key, epoch])),
    stamps: stamps.rows.map((row) => row.name),
    adopted: stamps.rows.filter((row) => row.origin === "adopted").map((row) => row.name),
    routers: routers.rows.map((row) => row.name),
    isEarly: early.rows[0]?.early ?? false,
    complete: new Set(sources.rows.filter((row) => row.complete).map((row) => row.source)),
    newestRouter: sources.rows.find((row) => row.newest)?.source,
    claims: claims.rows.map(toClaim),
    moves: moves.rows,
    knownMoves: new Set(known.rows.map((row) => row.id)),
    decisions: new Map(decisions.rows.map(({ tenant, stamp }) => [tenant, stamp ?? undefined])),
    reports: sources.rows.map(({ source, complete, tenants: count }) => ({ source, complete, tenants: count })),
    highestIncarnation: Math.max(0, ...sources.rows.map((row) => row.incarnation)),
  };
}

function reportOf(meta: StoreMeta, facts: Facts, plan: RecoveryPlan = planRecovery(facts)): RecoveryReport {
  const reason = meta.modeReason === undefined ? {} : { reason: meta.modeReason };
  if (meta.mode === "normal") return { mode: "normal", reports: [], adopt: [], conflicts: [], waitingOn: [] };
  const adopt = plan.adopt.map(({ tenant, stamp, epoch, why }) => ({ tenant, stamp, epoch, why }));
  return {
    mode: meta.mode,
    ...reason,
    reports: facts.reports,
    adopt,
    conflicts: plan.conflicts,
    waitingOn: plan.waitingOn,
  };
}

function finish(base: StoreBase, incomplete: boolean, ctx: WriteContext): Promise<RecoveryReport> {
  return write(base, ctx, async (w) => {
    requireRecovering(w);
    const facts = await readFacts(w);
    const plan = planRecovery(facts);
    const [conflict] = plan.conflicts;
    if (conflict !== undefined) {
      throw new StampyardError(
        "WRONG_PHASE",
        `${plan.conflicts.length} tenants are in conflict, the first is ${conflict.tenant}: ${conflict.why}`,
        { mend: "Say for each which stamp is its home." },
      );
    }
    const [missing] = plan.waitingOn;
    if (missing !== undefined && !incomplete) {
      throw new StampyardError("WRONG_PHASE", `The recovery still waits on ${missing}`, {
        mend: "Bring it back, or finish without it if its tenants may be wrong.",
      });
    }
    const incarnation = Math.max(w.incarnation, facts.highestIncarnation + 1);
    await w.query("UPDATE meta SET mode = 'normal', mode_reason = NULL, incarnation = $1", [incarnation]);
    const auditId = await audit(w, "recovery.finish", "recovery", {
      incarnation,
      adopted: plan.adopt.length,
      forgotten: plan.forget.length,
      ...(plan.moves.length === 0 ? {} : { moves: plan.moves.map(({ kind, move }) => `${kind} ${move.id}`) }),
      missing: plan.waitingOn,
    });
    await applyRecovery(w, plan, base.now());
    // What waited for a number is of the past; the difference below says everything that is so now.
    await w.query("DELETE FROM directory_pending");
    await insertChanges(w, auditId, await directoryDifference(w), ctx.actor);
    const report = reportOf({ ...(await readMeta(w)), mode: "recovering" }, facts, plan);
    await w.query("DELETE FROM recovery_sources");
    await w.query("DELETE FROM recovery_decisions");
    w.tell({ kind: "mode", mode: "normal" });
    return { ...report, mode: "normal" };
  });
}

function requireRecovering(w: Write): void {
  if (w.mode === "recovering") return;
  throw new StampyardError("WRONG_PHASE", "The control plane is not recovering");
}
