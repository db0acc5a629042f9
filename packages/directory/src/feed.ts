import type { DirectoryChange, DirectoryVersion } from "./change.ts";

/**
 * Request header of a feed in which a router says where clients enter it, e.g. `http://127.0.0.1:8080`. A header, not a
 * query: a control plane that does not know it reads over it.
 */
export const entranceHeader = "stampyard-router-entrance";

/** Where a router stands; sent with `GET /v1/directory/feed`. Version 0 with `chainStart` asks for everything. */
export interface FeedPosition {
  readonly incarnation: number;
  readonly version: number;
  readonly chain: string;
}

/** What travels from control plane to router, one frame each (decision D8). */
export type FeedMessage =
  | ({
      readonly kind: "hello";
      /** `recovering` = keep yours: a restored store has not yet learned what is true (decision D9). */
      readonly mode: "normal" | "recovering";
      readonly heartbeatMs: number;
    } & FeedPosition)
  /** All valid keys of one stamp, first is current; unversioned, sent at connect and on change; kept apart from the snapshot. */
  | {
      readonly kind: "keys";
      readonly stamp: string;
      readonly keys: readonly { readonly kid: string; readonly secret: string }[];
    }
  /**
   * A tenant moves: its requests wait for `release`, for at most `ttlMs` from now (decision D13). Unversioned and never
   * written to disk; who connects later misses it and loses nothing but time.
   */
  | { readonly kind: "hold"; readonly tenant: string; readonly moveId: string; readonly ttlMs: number }
  | { readonly kind: "release"; readonly tenant: string; readonly moveId: string }
  /** A snapshot is `begin`, parts of puts only (stamps and routing before tenants), `end` with the count of puts. */
  | ({ readonly kind: "snapshot-begin"; readonly entries: number; readonly shrinkConfirmed: boolean } & FeedPosition)
  | { readonly kind: "snapshot-part"; readonly changes: readonly DirectoryChange[] }
  | ({ readonly kind: "snapshot-end"; readonly entries: number } & FeedPosition)
  | ({ readonly kind: "delta" } & DirectoryVersion)
  | ({ readonly kind: "heartbeat" } & FeedPosition)
  /** Never sent: what a reader makes of a delta, or of a part of a snapshot, with a change that it does not know. */
  | { readonly kind: "unknown-change"; readonly name: string; readonly position?: FeedPosition }
  /** Never sent: what a reader makes of a message that it does not know. */
  | { readonly kind: "unknown-message"; readonly name: string };

/** Body of `POST /v1/directory/ack`: applied by every worker and journaled. */
export interface FeedAcknowledgement extends FeedPosition {
  readonly router: string;
}

/**
 * Body of `POST /v1/directory/hold`: every worker holds the tenant; sent again when its requests on their way are fewer.
 * A control plane that does not know it answers 404, which changes nothing.
 */
export interface HoldAcknowledgement {
  readonly router: string;
  readonly tenant: string;
  readonly moveId: string;
  /** Requests and tunnels of the tenant on their way; those that wait are not. */
  readonly inFlight: number;
}

/** Body of `POST /v1/directory/report`, asked for while recovering: the router's own table, in pages. */
export interface DirectoryReport extends FeedPosition {
  readonly router: string;
  readonly part: number;
  readonly last: boolean;
  readonly changes: readonly DirectoryChange[];
}
