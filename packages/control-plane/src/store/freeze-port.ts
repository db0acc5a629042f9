import type { Digest, Freeze, FreezeScope, FrozenThing, Instant } from "@stampyard/domain";
import type { WriteContext } from "./records.ts";

export interface FreezeStore {
  /** In force now, and those that will be; ended ones are not kept. */
  list(): Promise<readonly Freeze[]>;
  start(
    input: { readonly scope: FreezeScope; readonly stops: readonly FrozenThing[]; readonly until?: Instant },
    ctx: WriteContext & { readonly reason: string },
  ): Promise<Freeze>;
  /** @throws StampyardError NOT_FOUND; repeating it is not an error for one that has just ended */
  end(id: string, ctx: WriteContext): Promise<void>;
}

/** A stamp, or every stamp that holds this tenant, stays on a release until a time. */
export interface Pin {
  readonly subject: { readonly kind: "stamp" | "tenant"; readonly name: string };
  /** What it stays on; absent = what it runs when a rollout comes by. */
  readonly release?: Digest;
  readonly until: Instant;
  readonly reason: string;
  readonly by: string;
  readonly since: Instant;
}

export interface PinStore {
  /** Those whose time is not over. */
  list(): Promise<readonly Pin[]>;
  set(pin: Omit<Pin, "by" | "since">, ctx: WriteContext): Promise<Pin>;
  remove(subject: Pin["subject"], ctx: WriteContext): Promise<void>;
  /** Pins of stamps, and those of tenants at the stamps where they live. */
  byStamp(): Promise<ReadonlyMap<string, readonly Pin[]>>;
}
