import type { StampView } from "@stampyard/api";
import { digestOf, type Endpoint, type Json, quote, type Stamp, StampyardError } from "@stampyard/domain";
import type { Revisioned, Store } from "../../store/port.ts";
import type { AnyCall, Call, Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { settingsOf } from "../plan-campaign-now.ts";
import { stampCapacity } from "../stamp-goal.ts";
import { stampView } from "../views.ts";
import { requireFleet } from "./fleet.ts";

export const lifeNames = ["stampCordon", "stampUncordon", "stampDrain", "stampRetry", "stampAdopt"] as const;
type Names = (typeof lifeNames)[number];

/** What an operator wants of a stamp, and how one that runs already is registered. */
export function stampLifeHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { stamps } = deps.store;
  const view = (row: Revisioned<Stamp>) => viewOfStamp(deps.store, row);
  const revisionOf = ({ ifMatch }: AnyCall) => (ifMatch === undefined ? {} : { revision: ifMatch });

  return {
    async stampCordon(call) {
      const ctx = writeContext(deps, call, call.body.reason);
      return view(await stamps.setGoal(call.params.name, "cordoned", revisionOf(call), ctx));
    },

    async stampUncordon(call) {
      const ctx = writeContext(deps, call, call.body.reason);
      return view(await stamps.setGoal(call.params.name, "present", revisionOf(call), ctx));
    },

    async stampDrain(call) {
      const { reason, deadline, message, moves } = call.body;
      const options = {
        ...revisionOf(call),
        ...(deadline === undefined ? {} : { deadline: Date.parse(deadline) }),
        ...(message === undefined ? {} : { message }),
      };
      const ctx = writeContext(deps, call, reason);
      const settings = settingsOf(moves ?? {});
      return view(await stamps.setGoal(call.params.name, "drained", { ...options, moves: settings }, ctx));
    },

    async stampRetry(call) {
      const ctx = writeContext(deps, call, call.body.reason);
      return view(await stamps.retry(call.params.name, revisionOf(call), ctx));
    },

    async stampAdopt(call) {
      const { databaseUrl, routeKey, reason } = call.body;
      const stamp = await adoptedStamp(deps, call);
      const secrets = { ...(databaseUrl === undefined ? {} : { databaseUrl }), ...routeKeyOf(routeKey) };
      return view(await stamps.adopt({ stamp, ...secrets }, writeContext(deps, call, reason)));
    },
  };
}

export async function viewOfStamp(store: Store, row: Revisioned<Stamp>): Promise<StampView> {
  const { name } = row.value;
  const [used, observed] = await Promise.all([store.stamps.used([name]), store.stamps.observation(name)]);
  return stampView(row, used.get(name), observed);
}

async function adoptedStamp(deps: ServerDeps, { params, body }: Call<"stampAdopt">): Promise<Stamp> {
  const { value } = await requireFleet(deps.store);
  const pools = value.fleet.pools;
  const wanted = body.pool ?? (pools.length === 1 ? pools[0]?.name : undefined);
  const pool = pools.find((candidate) => candidate.name === wanted);
  if (pool === undefined) {
    const names = pools.map((candidate) => candidate.name).join(", ");
    const what = wanted === undefined ? `Stamp ${params.name} needs a pool` : `No pool ${quote(wanted)}`;
    throw new StampyardError("POOL_NOT_FOUND", what, { mend: `Use one of: ${names}.` });
  }
  const release = await deps.store.fleet.release(value.release);
  if (release === undefined) throw new StampyardError("RELEASE_NOT_FOUND", `No release ${value.release}`);
  const usual = stampCapacity(release.template, pool);
  const { tenants, ...units } = body.capacity ?? {};
  const { name } = params;
  // It has no release. Its digests name what it is, and never differ from what it runs.
  const digest = digestOf({ adopted: name } as unknown as Json, deps.sha256);
  return {
    name,
    pool: pool.name,
    region: body.region,
    state: { kind: "requested" },
    goal: body.open ? "present" : "cordoned",
    ...(body.open ? {} : { goalDetail: { reason: "adopted; stampyard stamp uncordon lets it take new tenants" } }),
    origin: "adopted",
    adoption: {
      endpoints: [...new Set(body.endpoints.map((text) => new URL(text).origin))].map(endpointOf),
      ...(body.healthPath === undefined ? {} : { healthPath: body.healthPath }),
      hasDatabase: body.databaseUrl !== undefined,
      capabilities: {
        guard: body.routeKey !== undefined,
        fence: false,
        drain: false,
        restore: body.restoreTested,
      },
    },
    releaseDigest: digest,
    stampDigest: digest,
    parameters: {},
    capacity: body.capacity === undefined ? usual : { tenants: tenants ?? usual.tenants, units },
    endpoints: [],
    endpointRevision: 0,
  };
}

/** Checked by the schema: an http address with a port. */
function endpointOf(text: string): Endpoint {
  const url = new URL(text);
  return { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port === "" ? 80 : Number(url.port) };
}

function routeKeyOf(text: string | undefined): { routeKey?: { kid: string; secret: string } } {
  const [kid, secret] = text?.split(":") ?? [];
  return kid === undefined || secret === undefined ? {} : { routeKey: { kid, secret } };
}
