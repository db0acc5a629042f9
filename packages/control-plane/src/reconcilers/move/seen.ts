import { type Move, type MoveSeen, type Tenant, wayBackOf } from "@stampyard/domain";
import type { Lane } from "./lane.ts";
import { whyHeldBack } from "./held-back.ts";
import type { MoveDeps } from "./move-deps.ts";
import { isPublished } from "./publication.ts";

/** Everything that is true of a move now: both databases, the tenant, the stamps, the routers, and the move that takes it back. */
export async function readSeen(deps: MoveDeps, move: Move, lane: Lane): Promise<MoveSeen> {
  const phase = move.state.kind;
  const mayWait = phase === "checking" || phase === "copying";
  const mayReturn = phase === "resting" || phase === "disputed";
  const [sight, tenant, heldBack, wayBack, published] = await Promise.all([
    lane.look(),
    deps.store.tenants.read(move.tenant),
    mayWait ? whyHeldBack(deps, move) : undefined,
    mayReturn ? wayBackNow(deps, move) : undefined,
    phase === "opening" ? isPublished(deps, move) : false,
  ]);
  return {
    ...sight,
    tenant: wishOf(tenant?.value),
    isPublished: published,
    ...(heldBack === undefined ? {} : { heldBack }),
    ...(wayBack === undefined ? {} : { wayBack }),
  };
}

function wishOf(tenant: Tenant | undefined): MoveSeen["tenant"] {
  if (tenant === undefined || tenant.state.kind === "gone") return "gone";
  return tenant.goal === "present" ? "staying" : "leaving";
}

/** Decided once its own source has decided, which is when it is past its switch; an aborted one is none. */
async function wayBackNow({ store }: Pick<MoveDeps, "store">, { id }: Move): Promise<MoveSeen["wayBack"]> {
  const back = await store.moves.read(wayBackOf(id));
  switch (back?.value.state.kind) {
    case undefined:
    case "aborted":
      return undefined;
    case "requested":
    case "checking":
    case "copying":
    case "switching":
    case "aborting":
      return "live";
    default:
      return "decided";
  }
}
