import type { Clock, FencingToken, MoveCheck, Random, Sha256, Stamp, StampEngine, StampSpec } from "@stampyard/domain";
import { StampyardError } from "@stampyard/domain";
import type { Contents } from "../rollouts/content.ts";
import type { MoveInput } from "../store/move-port.ts";
import type { Store, WriteContext } from "../store/port.ts";
import { actorOfToken } from "../store/tokens.ts";
import type { Logger } from "./access-log.ts";
import type { Actor } from "./call.ts";
import type { EventBus } from "./events.ts";

/** What the server needs of the world. */
export interface ServerDeps {
  readonly store: Store;
  readonly engine: StampEngine;
  /** Renders the stamp again from its release and opens its secrets; for engine calls only. */
  readonly specOf: (stamp: Stamp) => Promise<StampSpec>;
  /** Files of releases. @default none is kept, and stamps run from where they were applied */
  readonly contents?: Contents;
  readonly clock: Clock;
  readonly random: Random;
  readonly sha256: Sha256;
  readonly events: EventBus;
  /** The fencing token of this process while it leads, undefined while it stands by. Asked at every write. */
  readonly leadership: () => FencingToken | undefined;
  /** Of the control plane, shown in `status`. */
  readonly version: string;
  readonly log: Logger;
  /** Why the feed must not say a version yet: the store was found to be set back, and nobody leads a recovery (I42). */
  readonly whyHeld?: () => string | undefined;
  readonly feed?: FeedTimes;
  /** Kids of the route keys that a running stamp was seen to take, as far as this leader knows (D7). */
  readonly acceptedKids?: (stamp: string) => ReadonlySet<string>;
  /** Preflight of a move that is only proposed: looks into both databases. @default nothing is looked at */
  readonly checkMove?: CheckMove;
  /** Milliseconds between the promotion of a route key and the end of the old one. @default `routeKeyDropMs` */
  readonly routeKeyDropMs?: number;
}

/** What a move would do now, and what stands in its way. Changes nothing. @throws StampyardError as `MoveStore.propose` */
export type CheckMove = (
  input: MoveInput,
  signal: AbortSignal,
) => Promise<{ readonly from: string; readonly to: string; readonly epoch: number; readonly check: MoveCheck }>;

/**
 * A route header is valid for 5 minutes around its own (D7), and a router that a notification did not reach hears of
 * new keys within six heartbeats of 5 s.
 */
export const routeKeyDropMs = 5 * 60_000 + 30_000;

/** Times of the directory feed in milliseconds; the defaults are decision D8's. */
export interface FeedTimes {
  /** @default 5000 */
  readonly heartbeatMs?: number;
  /** A router that takes nothing for so long is cut. @default 30000 */
  readonly stallMs?: number;
}

/**
 * Who writes, for the audit, and under which lease.
 * @throws StampyardError NOT_LEADER on a standby
 */
export function writeContext(
  deps: Pick<ServerDeps, "leadership">,
  call: { readonly actor: Actor; readonly requestId: string },
  reason?: string,
): WriteContext {
  const token = deps.leadership();
  if (token === undefined) {
    throw new StampyardError("NOT_LEADER", "This control plane stands by and changes nothing", {
      mend: "Ask the leader, or repeat the request in a moment.",
    });
  }
  const { actor, requestId } = call;
  return { actor: actorOfToken(actor.id), token, requestId, ...(reason === undefined ? {} : { reason }) };
}
