import type { StampView } from "@stampyard/api";
import type { Store } from "../store/port.ts";
import { pinViews } from "./pin-views.ts";

/** Which release a stamp is kept at, and which ones are on their way to it. Nothing of what is not so. */
export async function inRollouts(
  store: Pick<Store, "pins" | "rollouts" | "fleet">,
  stamp: string,
): Promise<Pick<StampView, "pins" | "rollouts">> {
  const [byStamp, open] = await Promise.all([
    store.pins.byStamp(),
    store.rollouts.list({ stamp, isOpen: true, limit: mostShown }),
  ]);
  const pins = await pinViews(store, byStamp.get(stamp) ?? []);
  const rollouts = await Promise.all(
    open.items.map(async ({ value: { id, state, waves } }) => {
      const member = (await store.rollouts.members(id)).find((one) => one.stamp === stamp);
      if (member === undefined) return [];
      const wave = waves[member.wave]?.name ?? String(member.wave);
      return [{ id, phase: state.kind, wave, member: member.state.kind }];
    }),
  );
  return {
    ...(pins.length === 0 ? {} : { pins }),
    ...(rollouts.flat().length === 0 ? {} : { rollouts: rollouts.flat().reverse() }),
  };
}

/** One is under way; the others wait in a line. */
const mostShown = 20;
