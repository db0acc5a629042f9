import type { Instant } from "../ports.ts";

/** What a freeze stops. Routing is never touched by one. */
export const frozenThings = ["rollouts", "moves", "scaling", "destroys"] as const;
export type FrozenThing = (typeof frozenThings)[number];

/** The whole fleet, or what these name; every field that is there must match. */
export interface FreezeScope {
  readonly pools?: readonly string[];
  readonly regions?: readonly string[];
  readonly stamps?: readonly string[];
}

/** Said by a person, until it is taken back or its time is over. */
export interface Freeze {
  /** `fz-…`. */
  readonly id: string;
  readonly scope: FreezeScope;
  readonly stops: readonly FrozenThing[];
  readonly reason: string;
  readonly by: string;
  readonly since: Instant;
  readonly until?: Instant;
}

/** Of `fleet.yaml`: comes again every week, or lasts from one date to another, by the clock of a time zone. */
export type FreezeWindow = {
  readonly name: string;
  readonly scope: FreezeScope;
  readonly stops: readonly FrozenThing[];
  /** IANA name, e.g. `Europe/Berlin`. */
  readonly zone: string;
} & (
  | {
      readonly kind: "weekly";
      /** 0 = Sunday; minutes after midnight. */
      readonly from: { readonly day: number; readonly minute: number };
      readonly to: { readonly day: number; readonly minute: number };
    }
  /** `2026-12-20T00:00`, without an offset: the zone's own clock. */
  | { readonly kind: "dates"; readonly from: string; readonly to: string }
);
