import {
  adoptedDatabaseSecret,
  type Adoption,
  type CampaignSettings,
  type GoalDetail,
  isSame,
  isServing,
  quote,
  type Stamp,
  StampyardError,
} from "@stampyard/domain";
import { whyBarred } from "./campaign-facts.ts";
import { requireSettings, startCampaign } from "./campaign-start.ts";
import type { GoalOptions, StampAdopt } from "./port.ts";
import type { Revisioned, WriteContext } from "./records.ts";
import { insertStamp, lockStamp } from "./stamp-rows.ts";
import { replaceRouteKey, replaceSecret, type Sealer, sealNewStamp } from "./stamp-secrets.ts";
import { saveStamp } from "./stamp-write.ts";
import { audit, requireNormal, staleRevision, type Write, write } from "./write.ts";

/** What an operator wants of a stamp, each with its audit row in the same transaction (I39). */

export type ServingGoal = Exclude<Stamp["goal"], "absent">;

const words: Readonly<Record<ServingGoal, string>> = {
  present: "stamp.uncordon",
  cordoned: "stamp.cordon",
  drained: "stamp.drain",
};

/** @throws StampyardError WRONG_PHASE when it is being destroyed: that has no way back; or its last drain is being cancelled */
export function setStampGoal(
  base: Sealer,
  name: string,
  goal: ServingGoal,
  { revision, deadline, message, moves }: GoalOptions,
  ctx: WriteContext,
): Promise<Revisioned<Stamp>> {
  // Before its campaign, which is found by that.
  const since = base.now();
  return write(base, ctx, async (w) => {
    // Also where nobody is there to be moved.
    if (moves !== undefined) requireSettings(moves);
    const old = await lockNamed(w, name, revision);
    if (old.value.goal === "absent") {
      throw new StampyardError("WRONG_PHASE", `Stamp ${name} is to be destroyed`, {
        mend: "Create another one; a removal that was asked for is not taken back.",
      });
    }
    const wish = {
      ...(deadline === undefined ? {} : { deadline }),
      ...(message === undefined ? {} : { message }),
      ...(ctx.reason === undefined ? {} : { reason: ctx.reason }),
    };
    if (goal === "drained" && moves !== undefined) await startDrain(w, name, moves, deadline);
    if (old.value.goal === goal && isSame(wishOf(old.value.goalDetail), wish)) return old;
    await audit(w, words[goal], `stamp/${name}`, { before: old.value.goal, after: goal, ...wish });
    const { goalDetail: _, ...stamp } = old.value;
    const detail = { ...wish, by: ctx.actor, since };
    return saveStamp(w, { ...stamp, goal, ...(goal === "present" ? {} : { goalDetail: detail }) });
  });
}

/** None where nobody can be moved, or nobody is there. */
async function startDrain(
  w: Write,
  subject: string,
  settings: CampaignSettings,
  deadline: number | undefined,
): Promise<void> {
  const { rows } = await w.query("SELECT FROM tenants WHERE stamp = $1 LIMIT 1", [subject]);
  if (rows.length === 0 || (await whyBarred(w)) !== undefined) return;
  const until = deadline === undefined ? {} : { deadline };
  await startCampaign(w, { kind: "drain", subject, settings, items: [], ...until });
}

/** Takes back what a wait for a retry is for. @throws StampyardError WRONG_PHASE when nothing of it failed */
export function retryStamp(
  base: Sealer,
  name: string,
  options: { readonly revision?: number },
  ctx: WriteContext,
): Promise<Revisioned<Stamp>> {
  return write(base, ctx, async (w) => {
    const old = await lockNamed(w, name, options.revision);
    const state = withoutWait(old.value.state, base.now());
    if (state === undefined) {
      throw new StampyardError("WRONG_PHASE", `Stamp ${name} is ${old.value.state.kind} and waits for no retry`, {
        mend: "See what it waits for with stampyard stamp show.",
      });
    }
    await audit(w, "stamp.retry", `stamp/${name}`, { phase: state.kind });
    return saveStamp(w, { ...old.value, state });
  });
}

function withoutWait(state: Stamp["state"], now: number): Stamp["state"] | undefined {
  if (state.kind === "failed") return { ...state, retryAt: now };
  if (state.kind === "destroying") return state.retryAt === undefined ? undefined : { ...state, retryAt: now };
  if (!isServing(state.kind) || !("setback" in state) || state.setback === undefined) return undefined;
  return { ...state, setback: { ...state.setback, retryAt: now } };
}

/**
 * Registers what runs, or what changed of it: repeating it with other endpoints or capabilities is how they change.
 * @throws StampyardError ALREADY_EXISTS when a stamp of that name was built here, or is in another pool or region
 */
export function adoptStamp(base: Sealer, input: StampAdopt, ctx: WriteContext): Promise<Revisioned<Stamp>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const { stamp, databaseUrl, routeKey } = input;
    const { rows } = await w.query<{ name: string }>("SELECT name FROM stamps WHERE name = $1", [stamp.name]);
    const detail = { pool: stamp.pool, region: stamp.region, adoption: stamp.adoption, capacity: stamp.capacity };
    if (rows[0] === undefined) {
      const created = await insertStamp(w, stamp);
      const secrets = databaseUrl === undefined ? {} : { [adoptedDatabaseSecret]: databaseUrl };
      await sealNewStamp(w, base.masters, stamp.name, secrets, routeKey);
      await audit(w, "stamp.adopt", `stamp/${stamp.name}`, { ...detail });
      w.tell({ kind: "stamp", stamp: stamp.name, phase: stamp.state.kind });
      return created;
    }
    const old = await lockStamp(w, stamp.name);
    requireSameAdopted(old.value, stamp);
    if (databaseUrl !== undefined) {
      await replaceSecret(w, base.masters, stamp.name, adoptedDatabaseSecret, databaseUrl);
    }
    if (routeKey !== undefined) await replaceRouteKey(w, base.masters, stamp.name, routeKey);
    const adoption = merged(old.value.adoption, stamp.adoption);
    const { capacity } = stamp;
    const hasSecret = databaseUrl !== undefined || routeKey !== undefined;
    if (!hasSecret && isSame(old.value.adoption, adoption) && isSame(old.value.capacity, capacity)) return old;
    await audit(w, "stamp.adopt", `stamp/${stamp.name}`, { ...detail, adoption });
    return saveStamp(w, { ...old.value, capacity, ...(adoption === undefined ? {} : { adoption }) });
  });
}

/** Secrets that were given once stay, and with them what they make possible. */
function merged(old: Adoption | undefined, next: Adoption | undefined): Adoption | undefined {
  if (next === undefined || old === undefined) return next ?? old;
  const guard = next.capabilities.guard || old.capabilities.guard;
  const hasDatabase = next.hasDatabase || old.hasDatabase;
  return { ...next, hasDatabase, capabilities: { ...next.capabilities, guard } };
}

function requireSameAdopted(old: Stamp, next: Stamp): void {
  if (old.origin !== "adopted") {
    throw new StampyardError("ALREADY_EXISTS", `Stamp ${old.name} exists already, and was built here`, {
      mend: "Choose another name.",
    });
  }
  if (old.goal === "absent") throw new StampyardError("WRONG_PHASE", `Stamp ${old.name} is being forgotten`);
  if (old.pool === next.pool && old.region === next.region) return;
  throw new StampyardError(
    "ALREADY_EXISTS",
    `Stamp ${old.name} was adopted into pool ${quote(old.pool)} and region ${quote(old.region)}`,
    { mend: "Keep both, or choose another name." },
  );
}

async function lockNamed(w: Write, name: string, revision: number | undefined): Promise<Revisioned<Stamp>> {
  const old = await lockStamp(w, name);
  if (revision !== undefined && revision !== old.revision) throw staleRevision(`Stamp ${name}`, revision, old.revision);
  return old;
}

function wishOf({ by: _, since: __, ...wish }: GoalDetail = {}): GoalDetail {
  return wish;
}
