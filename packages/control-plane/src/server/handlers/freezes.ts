import type { FreezeScope } from "@stampyard/domain";
import type { Call, Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { freezeView, windowView } from "../freeze-view.ts";

type Names = Extract<keyof Handlers, `freeze${string}`>;

export function freezeHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, clock } = deps;
  return {
    async freezeList() {
      const [freezes, fleet] = await Promise.all([store.freezes.list(), store.fleet.read()]);
      const windows = fleet?.value.fleet.freezes ?? [];
      const now = clock.now();
      return { items: [...freezes.map(freezeView), ...windows.map((window) => windowView(window, now))] };
    },
    async freezeStart(call) {
      const { scope, stops, until, reason } = call.body;
      const input = {
        scope: scopeOf(scope),
        stops,
        ...(until === undefined ? {} : { until: Date.parse(until) }),
      };
      return freezeView(await store.freezes.start(input, { ...writeContext(deps, call), reason }));
    },
    async freezeEnd(call) {
      await store.freezes.end(call.params.id, writeContext(deps, call, call.query.reason));
      return undefined;
    },
  };
}

function scopeOf({ pools, regions, stamps }: Call<"freezeStart">["body"]["scope"]): FreezeScope {
  return {
    ...(pools === undefined ? {} : { pools }),
    ...(regions === undefined ? {} : { regions }),
    ...(stamps === undefined ? {} : { stamps }),
  };
}
