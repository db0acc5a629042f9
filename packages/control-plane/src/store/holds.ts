import { quote, StampyardError } from "@stampyard/domain";
import type { WriteContext } from "./records.ts";
import { audit, requireNormal, type StoreBase, type Write, write } from "./write.ts";

/** Channel on which every process of this store hears of holds. Nothing of a hold is kept: it is over in seconds. */
export const holdsChannel = "stampyard_control_holds";

/** Routers take no longer hold from a feed. */
const mostMs = 60_000;

export interface HoldStart {
  readonly tenant: string;
  /** Whose hold it is; a release must name the same. */
  readonly moveId: string;
  readonly ttlMs: number;
}

export interface HoldAcknowledgement {
  readonly router: string;
  readonly tenant: string;
  readonly moveId: string;
  /** Requests of the tenant that are on their way through this router. */
  readonly inFlight: number;
}

/** What is told of holds to whoever watches the store, in every process; not to those who were away. */
export type HoldEvent =
  | ({ readonly kind: "hold" } & HoldStart)
  | { readonly kind: "release"; readonly tenant: string; readonly moveId: string }
  | ({ readonly kind: "hold-acknowledged" } & HoldAcknowledgement);

/** Holds travel from the leader to the feeds of all processes, and acknowledgements back (decision D13). */
export interface HoldStore {
  /** Tells every feed. @throws StampyardError TENANT_NOT_FOUND, RECOVERING, STALE_LEADER */
  hold(start: HoldStart, ctx: WriteContext): Promise<void>;
  /** Tells every feed, whether it holds or not. @throws StampyardError STALE_LEADER */
  release(tenant: string, moveId: string, ctx: WriteContext): Promise<void>;
  /** From a router; neither audited nor fenced. */
  acknowledge(acknowledgement: HoldAcknowledgement): Promise<void>;
}

export function holdStore(base: StoreBase): HoldStore {
  return {
    hold: (start, ctx) =>
      write(base, ctx, async (w) => {
        requireNormal(w);
        const { tenant, moveId, ttlMs } = start;
        const { rows } = await w.query("SELECT FROM tenants WHERE key = $1", [tenant]);
        if (rows.length === 0) {
          throw new StampyardError("TENANT_NOT_FOUND", `No tenant ${quote(tenant)}`, {
            mend: "See stampyard tenant list.",
          });
        }
        await audit(w, "tenant.hold", `tenant/${tenant}`, { moveId, ttlMs });
        await notify(w, { kind: "hold", tenant, moveId, ttlMs });
      }),
    release: (tenant, moveId, ctx) =>
      write(base, ctx, async (w) => {
        await audit(w, "tenant.release", `tenant/${tenant}`, { moveId });
        await notify(w, { kind: "release", tenant, moveId });
      }),
    async acknowledge({ router, tenant, moveId, inFlight }) {
      await notify(base.db, { kind: "hold-acknowledged", router, tenant, moveId, inFlight });
    },
  };
}

async function notify(tx: Pick<Write, "query">, event: HoldEvent): Promise<void> {
  await tx.query("SELECT pg_notify($1, $2)", [holdsChannel, JSON.stringify(event)]);
}

/** Empty for what is not one of ours: anybody who may connect to the store may notify. */
export function readHoldEvent(payload = ""): readonly HoldEvent[] {
  try {
    const event = JSON.parse(payload) as HoldEvent;
    return typeof event.tenant === "string" && typeof event.moveId === "string" && isWhole(event) ? [event] : [];
  } catch {
    return [];
  }
}

function isWhole(event: HoldEvent): boolean {
  switch (event.kind) {
    case "hold":
      return Number.isInteger(event.ttlMs) && event.ttlMs >= 1 && event.ttlMs <= mostMs;
    case "release":
      return true;
    case "hold-acknowledged":
      return typeof event.router === "string" && Number.isInteger(event.inFlight) && event.inFlight >= 0;
    default:
      return false;
  }
}
