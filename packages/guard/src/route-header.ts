import { createHmac, timingSafeEqual } from "node:crypto";
import type { RouteKey } from "./route-key.ts";

/** What a route header claims. See WIRE.md, the specification for other languages. */
export interface RouteClaim {
  /** undefined = a request of no tenant, written `-`; then the epoch is 0. */
  readonly tenant: string | undefined;
  readonly stamp: string;
  readonly epoch: number;
  /** Whole minutes since 1970-01-01T00:00Z at which the router signed. */
  readonly minute: number;
}

export type RouteHeaderRefusal = "missing" | "malformed" | "bad-signature" | "wrong-stamp" | "expired";

export type RouteHeaderVerdict =
  | { readonly kind: "ok"; readonly tenant: string | undefined; readonly epoch: number }
  | { readonly kind: "refuse"; readonly reason: RouteHeaderRefusal };

/** A header older or newer than this is refused: clocks differ, and a recorded header must not live for ever. */
export const routeHeaderLifeMinutes = 5;

const tenantPattern = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const stampPattern = /^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/;

/** Longest possible header: `v1`, kid 32, tenant 63, stamp 40, epoch 15, minute 10, mac 43, six semicolons. */
const maxLength = 211;
const headerPattern =
  /^v1;([A-Za-z0-9_-]{1,32});(-|[a-z0-9-]{1,63});([a-z0-9-]{1,40});(0|[1-9][0-9]{0,14});([1-9][0-9]{0,9});([A-Za-z0-9_-]{43})$/;

/**
 * Writes the header for one request; routers keep it per tenant and minute.
 * @param mac HMAC-SHA-256 of the payload under this key, as base64url, for who has a faster way
 * @throws RangeError when a part cannot be written, so that no header exists that a guard would call malformed
 */
export function signRoute(
  claim: RouteClaim,
  key: RouteKey,
  mac: (payload: string, key: RouteKey) => string = macOf,
): string {
  const { tenant, stamp, epoch, minute } = claim;
  if (tenant !== undefined && !tenantPattern.test(tenant)) throw new RangeError("Invalid tenant key in a route claim");
  if (!stampPattern.test(stamp)) throw new RangeError("Invalid stamp name in a route claim");
  if (!isEpochOf(tenant, epoch)) throw new RangeError(`Invalid route epoch ${epoch}`);
  if (!Number.isSafeInteger(minute) || minute < 1 || minute > 9_999_999_999) {
    throw new RangeError(`Invalid minute ${minute} in a route claim`);
  }
  const payload = `v1;${key.kid};${tenant ?? "-"};${stamp};${epoch};${minute}`;
  return `${payload};${mac(payload, key)}`;
}

/** Checks grammar, stamp, signature and age, in this order. Knows nothing of who owns the tenant now: that is `createGuard`. */
export function verifyRoute(
  header: string | readonly string[] | undefined,
  expected: { readonly stamp: string; readonly keys: readonly RouteKey[]; readonly nowMs: number },
): RouteHeaderVerdict {
  if (header === undefined) return refuse("missing");
  // Two route headers are never the router's work, whichever of them may be right.
  if (typeof header !== "string") return refuse(header.length === 0 ? "missing" : "malformed");
  if (header.length > maxLength) return refuse("malformed");

  const match = headerPattern.exec(header);
  if (match === null) return refuse("malformed");
  const [, kid = "", tenantText = "", stamp = "", epochText = "", minuteText = "", mac = ""] = match;
  const tenant = tenantText === "-" ? undefined : tenantText;
  const epoch = Number(epochText);
  if (tenant !== undefined && !tenantPattern.test(tenant)) return refuse("malformed");
  if (!stampPattern.test(stamp) || !isEpochOf(tenant, epoch)) return refuse("malformed");

  // Before the signature, only to name the mistake: another stamp's header is signed with a key we do not have.
  if (stamp !== expected.stamp) return refuse("wrong-stamp");
  const key = expected.keys.find((candidate) => candidate.kid === kid);
  if (key === undefined) return refuse("bad-signature");
  const payload = header.slice(0, header.length - mac.length - 1);
  if (!timingSafeEqual(Buffer.from(macOf(payload, key)), Buffer.from(mac))) return refuse("bad-signature");

  const age = Math.floor(expected.nowMs / 60_000) - Number(minuteText);
  if (Math.abs(age) > routeHeaderLifeMinutes) return refuse("expired");
  return { kind: "ok", tenant, epoch };
}

/** The minute to sign at. */
export function minuteOf(nowMs: number): number {
  return Math.floor(nowMs / 60_000);
}

/** Tenants have epochs from 1; no tenant has epoch 0. */
function isEpochOf(tenant: string | undefined, epoch: number): boolean {
  if (tenant === undefined) return epoch === 0;
  return Number.isSafeInteger(epoch) && epoch >= 1 && epoch <= 999_999_999_999_999;
}

function macOf(payload: string, key: RouteKey): string {
  return createHmac("sha256", key.key).update(payload, "ascii").digest("base64url");
}

function refuse(reason: RouteHeaderRefusal): RouteHeaderVerdict {
  return { kind: "refuse", reason };
}
