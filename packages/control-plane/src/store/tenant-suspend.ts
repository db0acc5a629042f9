import { StampyardError, suspendable, type Tenant } from "@stampyard/domain";
import type { Revisioned, WriteContext } from "./records.ts";
import { eventOf, tellOf } from "./tenant-create.ts";
import { insertEvents, lockTenant, updateTenant } from "./tenant-rows.ts";
import { audit, requireNormal, staleRevision, type StoreBase, write } from "./write.ts";

interface Options {
  readonly revision?: number;
}

/** Sets goal `suspended`, and keeps who said so, why and when. Repeating it keeps the first word. */
export function suspendTenant(
  base: StoreBase,
  key: string,
  options: Options & { readonly reason: string },
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  const suspension = { by: ctx.actor, reason: options.reason, at: base.now() };
  return changeGoal(base, key, options, { ...ctx, reason: options.reason }, "suspend", (tenant) => ({
    ...tenant,
    goal: "suspended",
    suspension,
  }));
}

/** Sets goal `present` again; why it was stopped stays in the audit and in its history. */
export function resumeTenant(
  base: StoreBase,
  key: string,
  options: Options,
  ctx: WriteContext,
): Promise<Revisioned<Tenant>> {
  return changeGoal(base, key, options, ctx, "resume", ({ suspension: _, ...tenant }) => ({
    ...tenant,
    goal: "present",
  }));
}

function changeGoal(
  base: StoreBase,
  key: string,
  options: Options,
  ctx: WriteContext,
  what: "suspend" | "resume",
  change: (tenant: Tenant) => Tenant,
): Promise<Revisioned<Tenant>> {
  return write(base, ctx, async (w) => {
    requireNormal(w);
    const old = await lockTenant(w, key);
    if (options.revision !== undefined && options.revision !== old.revision) {
      throw staleRevision(`Tenant ${key}`, options.revision, old.revision);
    }
    const { state, goal, stamp, epoch } = old.value;
    if (goal === "absent" || !suspendable.includes(state.kind)) {
      const is = goal === "absent" ? "being deleted" : `${state.kind}: nobody is sent to it yet`;
      throw new StampyardError(
        "WRONG_PHASE",
        `Tenant ${key} is ${is}, and cannot be ${what}${what === "resume" ? "d" : "ed"}`,
      );
    }
    const { waitingOn: _, ...tenant } = change(old.value);
    if (tenant.goal === goal) return old;
    await audit(w, `tenant.${what}`, `tenant/${key}`, { ...(stamp === undefined ? {} : { stamp }), epoch });
    await insertEvents(w, ctx.actor, [eventOf(tenant, `${what}-requested`, ctx.reason)]);
    tellOf(w, tenant);
    return updateTenant(w, tenant);
  });
}
