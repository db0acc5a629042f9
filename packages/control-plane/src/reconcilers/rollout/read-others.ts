import { behindWhom, type Rollout } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";

/** What a rollout has to know of the others that have not ended. */
export interface Others {
  /** All of them, and itself, oldest first. */
  readonly open: readonly Rollout[];
  /** Whom it waits for, while it is queued. */
  readonly behind?: string;
}

export async function readOthers({ rollouts }: Pick<Store, "rollouts">, rollout: Rollout): Promise<Others> {
  const ids = await rollouts.open();
  const rows = await Promise.all(ids.map((id) => (id === rollout.id ? undefined : rollouts.read(id))));
  const open = ids.flatMap((id, index) => (id === rollout.id ? [rollout] : (rows[index]?.value ?? [])));
  const behind = rollout.state.kind === "queued" ? behindWhom(rollout, open) : undefined;
  return { open, ...(behind === undefined ? {} : { behind }) };
}
