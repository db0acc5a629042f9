import type { DirectoryView } from "@stampyard/directory";

/** A tunnel or a stream of events: it has no end of its own. */
export interface LongLived {
  readonly stamp: string;
  readonly epoch: number;
  /** Ends it soon, so that its client understands and comes again. */
  leave(): void;
}

/** "" = of no tenant. */
export type LongLivedByTenant = Map<string, Set<LongLived>>;

interface Keeper {
  readonly longLived: LongLivedByTenant;
}

export function keepLongLived({ longLived }: Keeper, tenant: string, one: LongLived): void {
  const open = longLived.get(tenant);
  if (open === undefined) longLived.set(tenant, new Set([one]));
  else open.add(one);
}

export function forgetLongLived({ longLived }: Keeper, tenant: string, one: LongLived): void {
  const open = longLived.get(tenant);
  if (open?.delete(one) === true && open.size === 0) longLived.delete(tenant);
}

/** What goes on with a home that the tenant has left, or left and came back to, ends; its client comes again. */
export function endWhatMoved({ longLived }: Keeper, directory: DirectoryView | undefined, tenant: string): void {
  const open = longLived.get(tenant);
  if (open === undefined || tenant === "") return;
  const home = directory?.lookupTenant(tenant);
  // By value: the table may lend one row to all lookups.
  const stamp = home?.stamp;
  const epoch = home?.epoch;
  for (const one of [...open]) if (one.stamp !== stamp || one.epoch !== epoch) one.leave();
}
