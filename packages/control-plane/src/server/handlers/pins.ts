import type { Pin } from "../../store/port.ts";
import type { Call, Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { pinViews } from "../pin-views.ts";

type Names = Extract<keyof Handlers, `pin${string}`>;

export function pinHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store } = deps;
  const set = async (call: Call<"pinStampSet" | "pinTenantSet">, subject: Pin["subject"]) => {
    const { release, until, reason } = call.body;
    const pin = { subject, until: Date.parse(until), reason, ...(release === undefined ? {} : { release }) };
    const [view] = await pinViews(store, [await store.pins.set(pin, writeContext(deps, call, reason))]);
    if (view === undefined) throw new RangeError("One pin has one view");
    return view;
  };
  const remove = async (call: Call<"pinStampRemove" | "pinTenantRemove">, subject: Pin["subject"]) => {
    await store.pins.remove(subject, writeContext(deps, call, call.query.reason));
    return undefined;
  };

  return {
    pinList: async () => ({ items: await pinViews(store, await store.pins.list()) }),
    pinStampSet: (call) => set(call, { kind: "stamp", name: call.params.name }),
    pinStampRemove: (call) => remove(call, { kind: "stamp", name: call.params.name }),
    pinTenantSet: (call) => set(call, { kind: "tenant", name: call.params.key }),
    pinTenantRemove: (call) => remove(call, { kind: "tenant", name: call.params.key }),
  };
}
