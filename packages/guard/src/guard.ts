import { hookHeader, refusalHeader, routeHeader } from "./names.ts";
import type { Ownership } from "./ownership.ts";
import { type RouteHeaderRefusal, verifyRoute } from "./route-header.ts";
import { parseRouteKeys, type RouteKey } from "./route-key.ts";

export type RefusalReason =
  | RouteHeaderRefusal
  /** The router is behind: the tenant has moved on since. */
  | "stale-route"
  /** The router is ahead: this stamp has not yet been given the tenant. */
  | "not-yet"
  /** The right epoch, but the tenant is fenced, being imported or being deleted. */
  | "not-active"
  | "unknown-tenant"
  /** The ownership record could not be read, so nobody may pass. */
  | "ownership-unreadable";

/** What to answer: always 503, because a moment later the route may be right. Never 421, which browsers repeat by themselves. */
export interface Refusal {
  readonly kind: "refuse";
  readonly reason: RefusalReason;
  readonly status: 503;
  readonly headers: Readonly<Record<string, string>>;
}

export interface Passage {
  readonly kind: "pass";
  /** undefined = the router sent a request of no tenant; the application decides whether it serves such. */
  readonly tenant: string | undefined;
  readonly epoch: number;
}

export type Verdict = Passage | Refusal;

export const hookNames = [
  "tenant.onCreate",
  "tenant.onDelete",
  "tenant.onDrain",
  "tenant.onExport",
  "tenant.onImport",
  "tenant.onRebuild",
] as const;
export type HookName = (typeof hookNames)[number];

export interface HookPassage {
  readonly kind: "pass";
  readonly hook: HookName;
  readonly tenant: string;
  readonly epoch: number;
}

/** Headers as node:http has them (names in lower case), or a Fetch `Headers`. */
export type HeaderSource =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | { get(name: string): string | null };

export interface Guard {
  readonly stamp: string;
  /** How much an accepted epoch means; shown in the application's health if it likes. */
  readonly assurance: Ownership["assurance"];
  /** Whether this request may be served here and now. Never rejects. */
  check(headers: HeaderSource): Promise<Verdict>;
  /** Whether this is a call of the control plane to a tenant hook. The tenant may be in any state, or not known yet. */
  checkHook(headers: HeaderSource): HookPassage | Refusal;
}

export interface GuardOptions {
  /** This stamp's own name, `${stamp.name}`. */
  readonly stamp: string;
  /** `${route.keys}`, or what `parseRouteKeys` made of it. */
  readonly keys: string | readonly RouteKey[];
  readonly ownership: Ownership;
  /** Milliseconds since 1970. @default Date.now */
  readonly now?: () => number;
}

/** @throws RangeError when the keys cannot be read */
export function createGuard(options: GuardOptions): Guard {
  const { stamp, ownership, now = Date.now } = options;
  const keys = typeof options.keys === "string" ? parseRouteKeys(options.keys) : options.keys;
  const verify = (headers: HeaderSource) => verifyRoute(headerOf(headers, routeHeader), { stamp, keys, nowMs: now() });

  return {
    stamp,
    assurance: ownership.assurance,
    async check(headers) {
      const claim = verify(headers);
      if (claim.kind === "refuse") return refusal(claim.reason);
      if (claim.tenant === undefined) return { kind: "pass", tenant: undefined, epoch: 0 };
      const reason = await ownershipRefusal(ownership, claim.tenant, claim.epoch);
      return reason === undefined ? { kind: "pass", tenant: claim.tenant, epoch: claim.epoch } : refusal(reason);
    },
    checkHook(headers) {
      const claim = verify(headers);
      if (claim.kind === "refuse") return refusal(claim.reason);
      const value = headerOf(headers, hookHeader);
      const hook = hookNames.find((name) => name === value);
      if (hook === undefined) return refusal(value === undefined ? "missing" : "malformed");
      if (claim.tenant === undefined) return refusal("malformed");
      return { kind: "pass", hook, tenant: claim.tenant, epoch: claim.epoch };
    },
  };
}

/** Same as `guard.checkHook`, for those who read better with a verb first. */
export function verifyHook(headers: HeaderSource, guard: Guard): HookPassage | Refusal {
  return guard.checkHook(headers);
}

/** Why a verified claim may not pass, or undefined. Lower → stale; higher → one fresh read; equal and active → pass. */
async function ownershipRefusal(
  ownership: Ownership,
  tenant: string,
  claimedEpoch: number,
): Promise<RefusalReason | undefined> {
  try {
    let home = await ownership.home(tenant, { fresh: false, claimedEpoch });
    // What the router knows and we do not may be news; what it forgot cannot be.
    if (home === undefined || home.epoch < claimedEpoch)
      home = await ownership.home(tenant, { fresh: true, claimedEpoch });
    if (home === undefined) return "unknown-tenant";
    if (claimedEpoch < home.epoch) return "stale-route";
    if (claimedEpoch > home.epoch) return "not-yet";
    return home.state === "active" ? undefined : "not-active";
  } catch {
    // The cause is the pool's, and its log is the application's: a guard that cannot know must not let pass.
    return "ownership-unreadable";
  }
}

function refusal(reason: RefusalReason): Refusal {
  return { kind: "refuse", reason, status: 503, headers: { [refusalHeader]: reason, "retry-after": "1" } };
}

function headerOf(headers: HeaderSource, name: string): string | readonly string[] | undefined {
  if (isFetchHeaders(headers)) return headers.get(name) ?? undefined;
  return headers[name];
}

function isFetchHeaders(headers: HeaderSource): headers is { get(name: string): string | null } {
  return typeof (headers as { get?: unknown }).get === "function";
}
