import { type LogLine, quote, type Stamp, StampyardError } from "@stampyard/domain";
import type { Revisioned } from "../../store/port.ts";
import { requireThawed } from "../../freezes/freezes.ts";
import { driftPolicy } from "../../reconcilers/drift.ts";
import type { Handlers } from "../call.ts";
import { rulesAside } from "../../rollouts/rules-in-force.ts";
import { createStamp } from "../create-stamp.ts";
import { routeKeyDropMs, type ServerDeps, writeContext } from "../deps.ts";
import { type lifeNames, viewOfStamp } from "./stamp-life.ts";
import { mapPage, storePage } from "../paging.ts";
import { inRollouts } from "../stamp-in-rollouts.ts";
import { observationView, stampView } from "../views.ts";

type Names = Exclude<Extract<keyof Handlers, `stamp${string}`>, (typeof lifeNames)[number]>;

export function stampHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, engine, clock } = deps;

  return {
    async stampList({ query }) {
      const { pool, phase } = query;
      const options = {
        ...storePage(query),
        ...(pool === undefined ? {} : { pool }),
        ...(phase === undefined ? {} : { phase }),
      };
      const page = await store.stamps.list(options);
      const names = page.items.map(({ value }) => value.name);
      const [used, observed] = await Promise.all([store.stamps.used(names), store.stamps.observations()]);
      return mapPage(page, (row) => stampView(row, used.get(row.value.name), observed.get(row.value.name)));
    },

    async stampGet({ params }) {
      const row = await requireStamp(store, params.name);
      const [view, routing, said] = await Promise.all([
        viewOfStamp(store, row),
        rulesAside(store, row.value.routing),
        inRollouts(store, params.name),
      ]);
      return { ...view, ...said, ...(routing.length === 0 ? {} : { routing: [...routing] }) };
    },

    async stampCreate(call) {
      const { overrideFreeze, reason, ...asked } = call.body;
      const overridesFreeze = overrideFreeze ? reason : undefined;
      return viewOfStamp(
        store,
        await createStamp(deps, { ...asked, overridesFreeze }, writeContext(deps, call, reason)),
      );
    },

    stampDelete: (call) => removeStamp(deps, call),

    async stampLogs({ params, query, signal }) {
      requireBuilt(await requireStamp(store, params.name), "logs");
      const { component, tail, follow } = query;
      const options = { tail, follow, signal, ...(component === undefined ? {} : { component }) };
      return textOf(engine.logs(params.name, options));
    },

    async stampDiff({ params, signal }) {
      const { value: stamp } = requireBuilt(await requireStamp(store, params.name), "a release to compare with");
      const spec = await deps.specOf(stamp);
      const [seen, changes] = await Promise.all([engine.observe(stamp.name, signal), engine.plan(spec, signal)]);
      return {
        stamp: stamp.name,
        same: changes.length === 0 && seen.stampDigest === stamp.stampDigest,
        goalDigest: stamp.stampDigest,
        ...(seen.stampDigest === undefined ? {} : { observedDigest: seen.stampDigest }),
        changes: changes.map(({ component, change, why }) => ({ component, change, why })),
        drift: await driftPolicy(deps, stamp),
        observation: observationView(seen, clock.now()),
      };
    },

    async stampKeysRotate(call) {
      const { name } = call.params;
      const row = requireBuilt(await requireStamp(store, name), "route keys of ours");
      const followed = {
        accepted: await keysInUse(deps, row),
        dropAfterMs: deps.routeKeyDropMs ?? routeKeyDropMs,
      };
      const step = await store.stamps.rotateRouteKeys(name, writeContext(deps, call), followed);
      const keys = await store.stamps.routeKeys(name);
      const waitingOn = rotationWaits[step];
      return { stamp: name, step, kids: keys.map(({ kid }) => kid), ...(waitingOn === undefined ? {} : { waitingOn }) };
    },
  };
}

async function removeStamp(
  deps: ServerDeps,
  call: Parameters<Handlers["stampDelete"]>[0],
): ReturnType<Handlers["stampDelete"]> {
  const { store } = deps;
  const { params, query, ifMatch } = call;
  const { value: stamp } = await requireStamp(store, params.name);
  const { pool, region } = stamp;
  const override = query.overrideFreeze ? query.reason : undefined;
  // Asked for before the freeze began, it waits for its end; asked for again, it is not refused.
  if (stamp.goal !== "absent") {
    await requireThawed(deps, "destroys", { stamp: params.name, pool, region }, override);
  }
  const options = {
    force: query.force,
    overridesFreeze: override !== undefined,
    ...(ifMatch === undefined ? {} : { revision: ifMatch }),
  };
  return viewOfStamp(store, await store.stamps.remove(params.name, options, writeContext(deps, call, query.reason)));
}

/** What has to follow before the next step is safe (D7). */
const rotationWaits = {
  added: "the stamp to accept the next key",
  promoted: "every live router to sign with the new key, and headers under the old one to run out (5 min 30 s)",
  dropped: undefined,
} as const;

/**
 * Keys that whoever answers for the stamp takes. A process that takes a new key listens on a new port: until every live
 * router goes there, requests reach the one before it, which does not (D7).
 */
async function keysInUse({ store, acceptedKids }: ServerDeps, { value: stamp }: Revisioned<Stamp>) {
  const none: ReadonlySet<string> = new Set();
  const kids = acceptedKids?.(stamp.name) ?? none;
  const [seen, head] = await Promise.all([store.stamps.observation(stamp.name), store.directory.head()]);
  if (seen?.observation.endpointRevision !== stamp.endpointRevision || head.pending > 0) return none;
  return (await store.routers.allLiveAcked(head.version)) ? kids : none;
}

async function requireStamp(store: ServerDeps["store"], name: string): Promise<Revisioned<Stamp>> {
  const row = await store.stamps.read(name);
  if (row !== undefined) return row;
  throw new StampyardError("STAMP_NOT_FOUND", `No stamp ${quote(name)}`, { mend: "See stampyard stamp list." });
}

/** `component[.replica] | line`; the first replica goes without its number. */
async function* textOf(lines: AsyncIterable<LogLine>): AsyncGenerator<string> {
  for await (const { component, replica, text } of lines) {
    yield `${replica === 0 ? component : `${component}.${replica}`} | ${text}`;
  }
}

/** @throws StampyardError CAPABILITY_MISSING for what nobody but its own people can do with an adopted stamp (D18) */
function requireBuilt(row: Revisioned<Stamp>, what: string): Revisioned<Stamp> {
  if (row.value.origin === "built") return row;
  throw new StampyardError("CAPABILITY_MISSING", `Stamp ${row.value.name} was adopted and has no ${what}`, {
    mend: "Use the tools that made it; stampyard stamp show says what it can do.",
  });
}
