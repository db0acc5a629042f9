import { behindWhom, type Rollout, type RolloutMember, type RolloutWorld, whoTakesOver } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";

/** What a rollout has to know of the others that have not ended: whom it waits for, and who takes its place. */
export async function readOthers(
  { rollouts }: Pick<Store, "rollouts">,
  rollout: Rollout,
  members: readonly RolloutMember[],
): Promise<Pick<RolloutWorld, "behind" | "newer">> {
  const ids = await rollouts.open();
  const rows = await Promise.all(ids.map((id) => (id === rollout.id ? undefined : rollouts.read(id))));
  const open = ids.flatMap((id, index) => (id === rollout.id ? [rollout] : (rows[index]?.value ?? [])));
  const behind = rollout.state.kind === "queued" ? behindWhom(rollout, open) : undefined;
  const newer = whoTakesOver(rollout, members, open);
  return { ...(behind === undefined ? {} : { behind }), ...(newer === undefined ? {} : { newer }) };
}
