import type { DirectoryChange } from "@stampyard/directory";
import { type Stamp, type StampSpec, StampyardError, type Verification, verifyTenantKey } from "@stampyard/domain";
import { makeRouteKey, minuteOf, routeHeader, signRoute } from "@stampyard/guard";
import type { Revisioned } from "../store/port.ts";
import { waitForRouters } from "./router-acks.ts";
import { type ReconcileDeps, type Turn, writeContext } from "./turn.ts";
import { type Carrier, carriersOf, verifyHostname } from "./verify-carriers.ts";
import { isElsewhere, isUnanswered, runSteps, type StepValues, type StepTarget, urlOf } from "./verify-steps.ts";

/** Live routers get this long to hear of the tenant, and to forget it. */
const routersHearWithinMs = 5_000;
/** Always the same: it is put and removed as a whole, and never changes its owner. */
const epoch = 1;

export interface Verified {
  readonly row: Revisioned<Stamp>;
  readonly verification: Verification;
}

/**
 * Shows that a stamp serves tenants: one of our own is prepared as every tenant is, comes in through a live router, does
 * what the template's `verify` says, and is removed again. Every step may be repeated: what a crash leaves behind is
 * found and removed by the next attempt, and routers forget the tenant when the stamp leaves `verifying`.
 * @throws StampyardError VERIFICATION_FAILED naming the step, and whatever preparing and removing the tenant throw
 */
export async function verifyStamp(deps: ReconcileDeps, row: Revisioned<Stamp>, turn: Turn): Promise<Verified> {
  const { value: stamp } = row;
  const startedAt = deps.clock.now();
  const steps = (await deps.store.fleet.release(stamp.releaseDigest))?.template.verify ?? [];
  const done = (how: Pick<Verification, "through" | "note" | "router">): Verification => {
    const at = deps.clock.now();
    return { at, stampDigest: stamp.stampDigest, steps: steps.length, tookMs: at - startedAt, ...how };
  };
  if (steps.length === 0) return { row, verification: done({ through: "none", note: "no verify steps declared" }) };

  const spec = await deps.specOf(stamp);
  const tenant = verifyTenantKey(stamp.name);
  await deps.homes.open(spec, tenant, epoch, turn.signal);
  await deps.hooks.call({ hook: "tenant.onCreate", stamp, spec, tenant, epoch }, turn);
  const hostnames = [verifyHostname(tenant)];
  let written = await writeChange(deps, row, { kind: "tenant-put", tenant, stamp: stamp.name, epoch, hostnames }, turn);
  await waitForRouters(deps, routersHearWithinMs, turn.signal);
  try {
    const how = await throughRouterOrEndpoint(deps, stamp, steps, turn);
    written = await remove(deps, written, spec, turn);
    return { row: written, verification: done(how) };
  } catch (caught) {
    // The cause is worth more than a removal that fails, too; the next attempt removes what is left.
    if (!turn.signal.aborted) await remove(deps, written, spec, turn).catch(() => {});
    throw caught;
  }
}

type Steps = Parameters<typeof runSteps>[1];

async function throughRouterOrEndpoint(
  deps: ReconcileDeps,
  stamp: Stamp,
  steps: Steps,
  turn: Turn,
): Promise<Pick<Verification, "through" | "note" | "router">> {
  const tenant = verifyTenantKey(stamp.name);
  const values = (): StepValues => ({ tenant, stamp: stamp.name, region: stamp.region, id: makeId(deps) });
  const { carriers, whyNone } = await carriersOf(deps, tenant, stamp);
  let silent: unknown;
  for (const carrier of carriers) {
    try {
      await runSteps(deps, steps, targetOf(carrier), values(), turn.signal);
      return { through: "router", router: carrier.router };
    } catch (caught) {
      // A router that was killed counts as live for some seconds; another one may carry it.
      if (isUnanswered(caught)) silent = caught;
      else if (!isElsewhere(caught)) throw caught;
    }
  }
  if (silent !== undefined) throw silent;
  const [key] = await deps.store.stamps.routeKeys(stamp.name);
  const endpoint = stamp.endpoints[0];
  if (key === undefined || endpoint === undefined) {
    throw new StampyardError("VERIFICATION_FAILED", `Stamp ${stamp.name} has no endpoint or no route key`);
  }
  const claim = { tenant, stamp: stamp.name, epoch, minute: minuteOf(deps.clock.now()) };
  const headers = { [routeHeader]: signRoute(claim, makeRouteKey(key.kid, key.secret)) };
  const url = urlOf(endpoint);
  await runSteps(
    deps,
    steps,
    { url, host: url.host, prefix: "", headers, via: "its endpoint", isRouter: false },
    values(),
    turn.signal,
  );
  const why = carriers.length > 0 ? "no connected router serves its region" : whyNone;
  return { through: "endpoint", note: `not through a router: ${why}` };
}

function targetOf({ router, entrance, host, prefix, headers }: Carrier): StepTarget {
  return { url: entrance, host, prefix, headers, via: `router ${router}`, isRouter: true };
}

/** The mirror of a tenant's preparation, in the order of a deletion: routers first, then the stamp forgets. */
async function remove(
  deps: ReconcileDeps,
  row: Revisioned<Stamp>,
  spec: StampSpec,
  turn: Turn,
): Promise<Revisioned<Stamp>> {
  const { value: stamp } = row;
  const tenant = verifyTenantKey(stamp.name);
  const written = await writeChange(deps, row, { kind: "tenant-remove", tenant }, turn);
  await waitForRouters(deps, routersHearWithinMs, turn.signal);
  await deps.homes.close(spec, tenant, epoch, turn.signal);
  await deps.hooks.call({ hook: "tenant.onDelete", stamp, spec, tenant, epoch }, turn);
  await deps.homes.forget(spec, tenant, epoch, turn.signal);
  return written;
}

async function writeChange(
  deps: ReconcileDeps,
  row: Revisioned<Stamp>,
  change: DirectoryChange,
  turn: Turn,
): Promise<Revisioned<Stamp>> {
  const options = { changes: [change], action: "stamp.verify" };
  return await deps.store.stamps.write(row.value, row.revision, options, writeContext(turn));
}

/** A version 4 UUID (RFC 9562 section 5.4), so that a step can make an object and name it in the next one. */
function makeId({ random }: Pick<ReconcileDeps, "random">): string {
  const bytes = random.bytes(16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
