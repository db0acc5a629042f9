import { canonicalJson } from "../canonical.ts";
import type { Aim } from "./rollout.ts";

/** Whether a stamp that is aimed at one of them has nothing to do to be aimed at the other. */
export function sameAim(a: Aim, b: Aim): boolean {
  if (a.release !== b.release || a.stampDigest !== b.stampDigest || bringsRules(a, b)) return false;
  return textOf(a) === textOf(b);
}

/** Whether `to` says that other rules of routing are to hold than those of `from`. */
export function bringsRules(from: Aim, to: Aim): boolean {
  return from.routing !== undefined && to.routing !== undefined && from.routing !== to.routing;
}

/** An aim that says nothing of rules, with those that hold before it. */
export function keepingRules(aim: Aim, before: Aim): Aim {
  return aim.routing === undefined && before.routing !== undefined ? { ...aim, routing: before.routing } : aim;
}

function textOf({ parameters, capacity }: Aim): string {
  return canonicalJson({ parameters, capacity: { ...capacity } });
}
