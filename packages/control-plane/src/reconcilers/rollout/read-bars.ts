import {
  type Clock,
  type Freezes,
  type Instant,
  type Rollout,
  type RolloutMember,
  type RolloutWorld,
  type Stamp,
  whyFrozen,
} from "@stampyard/domain";
import { endOfFreeze, readFreezes } from "../../freezes/freezes.ts";
import type { Pin, Store } from "../../store/port.ts";

export interface BarDeps {
  readonly store: Pick<Store, "freezes" | "fleet" | "pins" | "moves">;
  readonly clock: Pick<Clock, "now">;
}

/** Why nothing may begin in a member now, by stamp: freezes, and moves that copy or switch with it (D15); and its pins. */
export async function readBars(
  { store, clock }: BarDeps,
  rollout: Rollout,
  members: readonly RolloutMember[],
  stamps: ReadonlyMap<string, Stamp>,
): Promise<Required<Pick<RolloutWorld, "barred" | "pinned">>> {
  const [freezes, pins, moves] = await Promise.all([
    freezesFor(store, rollout),
    store.pins.byStamp(),
    store.moves.atWork(),
  ]);
  const now = clock.now();
  const barred = new Map<string, string>();
  const pinned = new Map<string, string>();
  for (const member of members) {
    const stamp = stamps.get(member.stamp);
    if (stamp === undefined) continue;
    const { name, pool, region } = stamp;
    const frozen = whyFrozen(freezes, "rollouts", { stamp: name, pool, region }, now);
    const pin = (pins.get(name) ?? []).find((one) => holds(one, member, now));
    const atWork = moves.get(name) ?? 0;
    if (pin !== undefined) pinned.set(name, pinWords(pin));
    if (frozen !== undefined) barred.set(name, endOfFreeze(frozen));
    else if (atWork > 0) barred.set(name, `${atWork === 1 ? "a move" : `${atWork} moves`} to end`);
  }
  return { barred, pinned };
}

/** Windows are for what can wait; a person's word stops a hotfix, too. */
async function freezesFor(store: BarDeps["store"], rollout: Rollout): Promise<Freezes> {
  if (rollout.overridesFreeze !== undefined) return { freezes: [], windows: [] };
  const { freezes, windows } = await readFreezes(store);
  return { freezes, windows: rollout.hotfix ? [] : windows };
}

function holds({ release, until }: Pin, { to }: RolloutMember, now: Instant): boolean {
  return now < until && release !== to.release;
}

function pinWords({ subject, until, reason }: Pin): string {
  const whose = subject.kind === "tenant" ? `tenant ${subject.name} is` : "it is";
  return `${whose} pinned until ${new Date(until).toISOString()}: ${reason}`;
}
