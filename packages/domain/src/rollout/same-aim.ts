import { canonicalJson } from "../canonical.ts";
import type { Aim } from "./rollout.ts";

/** Whether a stamp that is aimed at one of them has nothing to do to be aimed at the other. */
export function sameAim(a: Aim, b: Aim): boolean {
  if (a.release !== b.release || a.stampDigest !== b.stampDigest) return false;
  return textOf(a) === textOf(b);
}

function textOf({ parameters, capacity }: Aim): string {
  return canonicalJson({ parameters, capacity: { ...capacity } });
}
