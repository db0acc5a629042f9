import {
  type DatabaseCount,
  type ErasureFacts,
  findComponent,
  type Stamp,
  StampyardError,
  type StampSpec,
  type Tenant,
  whatIsLeft,
} from "@stampyard/domain";
import type { ReconcileDeps, Turn } from "./turn.ts";

/**
 * The mirror of preparing: the database refuses what is still on its way, the application erases, what is left is counted
 * by a connection that the application has no hand in, and only then the stamp's own record of the tenant goes.
 * @returns what a certificate says of it
 * @throws StampyardError HOOK_FAILED, NOT_ERASED; the turn is repeated, and so is the hook
 */
export async function eraseTenant(
  deps: ReconcileDeps,
  tenant: Tenant,
  stamp: Stamp,
  turn: Turn,
): Promise<ErasureFacts> {
  const { key, epoch } = tenant;
  const spec = await deps.specOf(stamp);
  await deps.homes.close(spec, key, epoch, turn.signal);
  await deps.hooks.call({ hook: "tenant.onDelete", stamp, spec, tenant: key, epoch }, turn);
  const checked = stamp.origin === "adopted" ? adopted(stamp) : await check(deps, spec, key, turn);
  await deps.homes.forget(spec, key, epoch, turn.signal);
  const hook = spec.rendered.hooks.onDelete === undefined ? "none" : "called";
  const isKnown = hook === "called" || checked.databases.length > 0;
  return { tenant: key, stamp: stamp.name, epoch, basis: isKnown ? "erased" : "withdrawn", hook, ...checked };
}

/** A tenant that has nothing in any stamp: it never had a home, or its home is destroyed. */
export function nothingToErase({ key, stamp, epoch }: Tenant): ErasureFacts {
  const known = { tenant: key, epoch, hook: "not-needed", databases: [] } as const;
  if (stamp === undefined) return { ...known, basis: "never-placed", unchecked: "it never had a home" };
  return { ...known, stamp, basis: "stamp-gone", unchecked: `stamp ${stamp} is destroyed, and its databases with it` };
}

/** Nothing of an adopted stamp is ours to erase or to count (decision D18). */
function adopted({ name }: Stamp): Pick<ErasureFacts, "databases" | "unchecked"> {
  return {
    databases: [],
    unchecked: `stamp ${name} was adopted: what is in its databases is for its own tools to erase`,
  };
}

async function check(
  deps: ReconcileDeps,
  spec: StampSpec,
  tenant: string,
  turn: Turn,
): Promise<Pick<ErasureFacts, "column" | "databases" | "unchecked">> {
  const { tenancy, identity } = spec.rendered;
  if (findComponent(spec.rendered, "postgres").length === 0) {
    return { databases: [], unchecked: "the stamp has no postgres component" };
  }
  if (tenancy.model !== "rows") {
    return { databases: [], unchecked: `tenants of model ${tenancy.model} are not told apart by a column` };
  }
  const { column } = tenancy;
  const databases = await deps.homes.count(spec, tenant, column, turn.signal);
  const left = whatIsLeft(databases);
  if (left !== undefined) throw notErased(spec, identity.name, tenant, left);
  const unasked = missing(spec, databases);
  if (unasked.length === 0) return { column, databases };
  return { column, databases, unchecked: `no connection to ${unasked.join(", ")}` };
}

function missing(spec: StampSpec, databases: readonly DatabaseCount[]): readonly string[] {
  const asked = new Set(databases.map((database) => database.component));
  return findComponent(spec.rendered, "postgres").flatMap(({ name }) => (asked.has(name) ? [] : [name]));
}

function notErased(spec: StampSpec, stamp: string, tenant: string, left: string): StampyardError {
  const { onDelete } = spec.rendered.hooks;
  const mend =
    onDelete === undefined
      ? "Declare a tenant.onDelete hook that erases a tenant's rows, or delete them by hand; it is counted again by itself."
      : "Let the tenant.onDelete hook erase every row of the tenant; it is called again by itself.";
  return new StampyardError("NOT_ERASED", `Stamp ${stamp} still has rows of tenant ${tenant}: ${left}`, { mend });
}
