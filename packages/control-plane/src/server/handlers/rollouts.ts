import { quote, type Rollout, type RolloutCommand, StampyardError } from "@stampyard/domain";
import { rulesBrought } from "../../rollouts/rules-in-force.ts";
import type { Revisioned } from "../../store/port.ts";
import type { Call, Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { storePage } from "../paging.ts";
import { type AskedRollout, previewAsked, startAsked, undoAsked } from "../rollout-asked.ts";
import { memberView, readRolloutViews, readVersions, rolloutDetailView } from "../rollout-view.ts";
import { revisionOf } from "./tenants.ts";

type Names = Extract<keyof Handlers, `rollout${string}`>;
type Commands =
  | "rolloutPause"
  | "rolloutResume"
  | "rolloutPromote"
  | "rolloutApprove"
  | "rolloutAbort"
  | "rolloutRetry";

export function rolloutHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, clock } = deps;
  const viewsOf = (rows: readonly Revisioned<Rollout>[]) => readRolloutViews(store, rows, clock.now());
  const viewOf = async (row: Revisioned<Rollout>) => {
    const [view] = await viewsOf([row]);
    if (view === undefined) throw new RangeError("One row has one view");
    return view;
  };
  const commanded = async (call: Call<Commands>, command: RolloutCommand) => {
    const ctx = writeContext(deps, call, call.body.reason);
    return viewOf(await store.rollouts.command(call.params.id, command, revisionOf(call.ifMatch), ctx));
  };

  return {
    async rolloutStart(call) {
      const asked = askedOf(call.body);
      if (call.query.dryRun) return { dryRun: true, preview: await previewAsked(deps, asked) };
      const ctx = writeContext(deps, call, call.body.reason);
      return { dryRun: false, rollout: await viewOf(await startAsked(deps, asked, ctx)) };
    },
    async rolloutList({ query }) {
      const { phase, release, stamp, open } = query;
      const page = await store.rollouts.list({
        ...storePage(query),
        ...(phase === undefined ? {} : { phase }),
        ...(release === undefined ? {} : { release }),
        ...(stamp === undefined ? {} : { stamp }),
        ...(open ? { isOpen: true } : {}),
      });
      return {
        items: await viewsOf(page.items),
        ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }),
      };
    },
    async rolloutGet({ params }) {
      const row = await requireRollout(deps, params.id);
      const routing = await rulesBrought(store, await store.rollouts.members(params.id));
      return rolloutDetailView(await viewOf(row), row.value, routing);
    },
    async rolloutMembers({ params }) {
      await requireRollout(deps, params.id);
      const members = await store.rollouts.members(params.id);
      const versionOf = await readVersions(
        store,
        members.flatMap(({ from, to }) => [from.release, to.release]),
      );
      return { items: members.map((member) => memberView(member, versionOf)) };
    },
    rolloutPause: (call) => commanded(call, { kind: "pause" }),
    rolloutResume: (call) => commanded(call, { kind: "resume" }),
    rolloutPromote: (call) => commanded(call, { kind: "promote", full: call.body.full }),
    rolloutApprove: (call) => commanded(call, { kind: "approve" }),
    rolloutAbort: (call) => commanded(call, { kind: "abort" }),
    rolloutRetry: (call) => commanded(call, { kind: "retry" }),
    async rolloutUndo(call) {
      const { overrideFreeze, reason } = call.body;
      const row = await requireRollout(deps, call.params.id);
      const ctx = writeContext(deps, call, reason);
      const overrides = overrideFreeze && reason !== undefined ? { overridesFreeze: reason } : {};
      return viewOf(await undoAsked(deps, row.value, overrides, ctx));
    },
  };
}

function askedOf({
  release,
  components,
  strategy,
  hotfix,
  overrideFreeze,
  reason,
}: Call<"rolloutStart">["body"]): AskedRollout {
  return {
    ...(release === undefined ? {} : { release }),
    components,
    strategy,
    hotfix,
    ...(overrideFreeze && reason !== undefined ? { overridesFreeze: reason } : {}),
  };
}

async function requireRollout({ store }: ServerDeps, id: string): Promise<Revisioned<Rollout>> {
  const row = await store.rollouts.read(id);
  if (row !== undefined) return row;
  throw new StampyardError("NOT_FOUND", `No rollout ${quote(id)}`, { mend: "See stampyard rollout list." });
}
