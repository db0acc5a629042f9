import type { Check } from "./check.ts";

/** What the local engine needs and can enforce on this machine. */
export async function examineEngine(): Promise<readonly Check[]> {
  return [];
}
