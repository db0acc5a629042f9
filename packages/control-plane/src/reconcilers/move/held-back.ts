import { isServing, type Move, whatIsLacking } from "@stampyard/domain";
import { whyMoveFrozen } from "../../freezes/frozen-move.ts";
import type { MoveDeps } from "./move-deps.ts";

/**
 * Why neither stamp may be touched now, or undefined: a freeze, or their state. A sick source may well be what the tenant is taken away from; a sick
 * target is no place to take it to.
 */
export async function whyHeldBack(deps: Pick<MoveDeps, "store" | "clock">, move: Move): Promise<string | undefined> {
  const frozen = await whyMoveFrozen(deps, move);
  if (frozen !== undefined) return frozen;
  const reasons = await Promise.all([whyNotNow(deps, move, "from"), whyNotNow(deps, move, "to")]);
  return reasons.find((text) => text !== undefined);
}

async function whyNotNow(
  { store }: Pick<MoveDeps, "store">,
  move: Move,
  side: "from" | "to",
): Promise<string | undefined> {
  const name = move[side];
  const [found, seen] = await Promise.all([store.stamps.read(name), store.stamps.observation(name)]);
  const stamp = found?.value;
  if (stamp === undefined) return undefined;
  if (!isServing(stamp.state.kind)) return `stamp ${name}, which is ${stamp.state.kind}`;
  if (stamp.goal === "absent") return `stamp ${name}, which is to be destroyed`;
  if (stamp.origin === "adopted") return undefined;
  if (seen === undefined) return `a look at stamp ${name}`;
  const { observation } = seen;
  // From the first copied row on, another release waits for the move and not the move for it.
  const isAtWork = move.state.kind === "copying";
  const running = isAtWork ? (observation.stampDigest ?? stamp.stampDigest) : stamp.stampDigest;
  const components = side === "from" ? observation.components.filter(({ status }) => status === "healthy") : undefined;
  const looked = components === undefined ? observation : { ...observation, components };
  const lack = whatIsLacking({ stampDigest: running }, looked);
  return lack === undefined ? undefined : `stamp ${name}: ${lack}`;
}
