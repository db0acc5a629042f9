import type { OverrideView, PlacementView } from "@stampyard/api";
import type { PlacementOverride } from "@stampyard/domain";
import type { OverrideRecord, PlacementAnswer } from "../../store/port.ts";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { mapPage, storePage } from "../paging.ts";
import { time } from "../views.ts";
import { tenantInput } from "./tenants.ts";

type Names = "placementPreview" | "placementExplain" | "overrideList" | "overrideSet" | "overrideRemove";

export function placementHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { placement } = deps.store;
  return {
    placementPreview: async ({ body }) => placementView(await placement.preview(tenantInput(body))),
    placementExplain: async ({ params }) => placementView(await placement.explain(params.key)),
    overrideList: async ({ query }) => mapPage(await placement.overrides(storePage(query)), overrideView),
    async overrideSet(call) {
      const { reason, until, ...word } = call.body;
      const override: PlacementOverride = { ...word, ...(until === undefined ? {} : { until: Date.parse(until) }) };
      const ctx = writeContext(deps, call, reason);
      return overrideView(await placement.setOverride(call.params.key, override, ctx));
    },
    async overrideRemove(call) {
      const { kind, reason } = call.query;
      await placement.removeOverride(call.params.key, kind, writeContext(deps, call, reason));
      return undefined;
    },
  };
}

export function placementView({ request, home, placement, verdicts }: PlacementAnswer): PlacementView {
  const { key, pool, tier, tenancy, channel, weight, residency, residencyRule, override } = request;
  const why = placement.kind === "wait" ? placement.waitingOn : placement.kind === "full" ? placement.why : undefined;
  return {
    tenant: key,
    pool,
    tier,
    tenancy,
    ...(channel === undefined ? {} : { channel }),
    weight: { ...weight },
    residency: [...residency],
    ...(residencyRule === undefined ? {} : { residencyRule }),
    ...(override === undefined ? {} : { override: overrideWord(override) }),
    ...(home === undefined ? {} : { home }),
    outcome: placement.kind,
    ...(placement.kind === "place" ? { stamp: placement.stamp } : {}),
    ...(why === undefined ? {} : { why }),
    verdicts: verdicts.map(({ stamp, outcome, filter, why: reason, scores, total }) => ({
      stamp,
      outcome,
      ...(filter === undefined ? {} : { filter }),
      why: reason,
      ...(scores === undefined ? {} : { scores: { ...scores } }),
      ...(total === undefined ? {} : { total }),
    })),
  };
}

function overrideView({ tenant, override, reason, setBy, setAt }: OverrideRecord): OverrideView {
  return {
    tenant,
    ...overrideWord(override),
    ...(reason === undefined ? {} : { reason }),
    setBy,
    setAt: time(setAt),
  };
}

function overrideWord(override: PlacementOverride): Pick<OverrideView, "kind" | "stamp" | "until"> {
  const { kind, until } = override;
  return {
    kind,
    ...(override.kind === "pin" ? { stamp: override.stamp } : {}),
    ...(until === undefined ? {} : { until: time(until) }),
  };
}
