import type { ErrorCode } from "@stampyard/domain";

interface RefusalRow {
  readonly status: number;
  readonly code: ErrorCode;
  readonly title: string;
  /** The client may try again soon. */
  readonly retry?: true;
}

/** Every answer that the router gives by itself. Reasons are API; none names a stamp. */
export const refusals = {
  "bad-version": {
    status: 505,
    code: "HTTP_VERSION_NOT_SUPPORTED",
    title: "Only HTTP/1.0 and HTTP/1.1 are spoken here",
  },
  "bad-method": { status: 405, code: "METHOD_NOT_ALLOWED", title: "Method is not allowed" },
  "bad-target": { status: 400, code: "INVALID_REQUEST", title: "Request target cannot be read in one way only" },
  "target-too-long": { status: 414, code: "URI_TOO_LONG", title: "Request target is longer than 8 KiB" },
  "bad-host": { status: 400, code: "INVALID_REQUEST", title: "Exactly one valid Host header is needed" },
  "bad-framing": { status: 400, code: "INVALID_REQUEST", title: "Length of the body cannot be read in one way only" },
  "unexpected-body": { status: 413, code: "PAYLOAD_TOO_LARGE", title: "This method has no body in HTTP/1.0" },
  "bad-header": { status: 400, code: "INVALID_REQUEST", title: "A header is not allowed like this" },
  "bad-syntax": { status: 400, code: "INVALID_REQUEST", title: "Request cannot be parsed" },
  "too-many-headers": { status: 431, code: "HEADERS_TOO_LARGE", title: "Headers are too many or too large" },
  "bad-expectation": { status: 417, code: "EXPECTATION_FAILED", title: "Only 100-continue can be expected" },
  "bad-upgrade": { status: 426, code: "UPGRADE_REFUSED", title: "Only a WebSocket of version 13 can be upgraded to" },
  "request-timeout": { status: 408, code: "TIMEOUT", title: "Request did not arrive in time" },
  misdirected: { status: 421, code: "MISDIRECTED", title: "This connection is not for that host" },
  loop: { status: 508, code: "LOOP_DETECTED", title: "Request went through routers too often" },
  "malformed-path": {
    status: 400,
    code: "INVALID_REQUEST",
    title: "Tenant in the path cannot be read in one way only",
  },
  "malformed-header": { status: 400, code: "INVALID_REQUEST", title: "Tenant header is not a tenant key" },
  "conflicting-carriers": { status: 400, code: "CONFLICTING_CARRIERS", title: "Request names two different tenants" },
  "no-tenant": { status: 404, code: "TENANT_NOT_FOUND", title: "Request names no tenant" },
  "unknown-tenant": { status: 404, code: "TENANT_NOT_FOUND", title: "No such tenant" },
  "tenant-suspended": { status: 403, code: "TENANT_SUSPENDED", title: "Tenant is suspended" },
  "no-region": {
    status: 404,
    code: "TENANT_NOT_FOUND",
    title: "Request names no tenant, and no region serves its country",
  },
  "other-region": { status: 421, code: "OTHER_REGION", title: "This region does not serve the request" },
  held: { status: 503, code: "TENANT_HELD", title: "Tenant is held and back in a moment", retry: true },
  "too-many-requests": { status: 429, code: "RATE_LIMITED", title: "Tenant's requests come too fast", retry: true },
  "too-many-at-once": {
    status: 429,
    code: "RATE_LIMITED",
    title: "Too many requests of the tenant are on their way",
    retry: true,
  },
  "not-ready": { status: 503, code: "NOT_READY", title: "Router has no directory yet", retry: true },
  "too-busy": { status: 503, code: "STAMP_UNREACHABLE", title: "Too many requests are on their way", retry: true },
  "no-endpoint": { status: 503, code: "STAMP_UNREACHABLE", title: "Tenant's home is not available", retry: true },
  "no-route-key": { status: 503, code: "STAMP_UNREACHABLE", title: "Tenant's home is not available", retry: true },
  "stamp-unreachable": { status: 503, code: "STAMP_UNREACHABLE", title: "Tenant's home is not available", retry: true },
  "stamp-closed": {
    status: 502,
    code: "BAD_UPSTREAM",
    title: "Tenant's home broke off; the request may have been done",
  },
  "stamp-timeout": { status: 504, code: "TIMEOUT", title: "Tenant's home did not answer in time" },
  "bad-response": { status: 502, code: "BAD_UPSTREAM", title: "Tenant's home gave an answer that cannot be forwarded" },
  "route-refused": {
    status: 503,
    code: "ROUTE_REFUSED",
    title: "Tenant is not served at its home right now",
    retry: true,
  },
} as const satisfies Record<string, RefusalRow>;

export type RefusalReason = keyof typeof refusals;

/** What a guard may say; anything else that a stamp writes there stays between us and its logs. */
const guardReasons: readonly string[] = [
  "missing",
  "malformed",
  "bad-signature",
  "wrong-stamp",
  "expired",
  "stale-route",
  "not-yet",
  "not-active",
  "unknown-tenant",
  "ownership-unreadable",
];

/** The guard's reason as the client sees it, beside the code ROUTE_REFUSED. */
export function guardReasonOf(value: string): string {
  return guardReasons.includes(value) ? value : "route-refused";
}

export interface ProblemAnswer {
  readonly status: number;
  /** Names and values in turn. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** What an answer says beyond its reason. */
export interface RefusalDetail {
  /** Answer 307 to there instead. */
  readonly location?: string;
  /** Milliseconds after which a try may succeed; jitter is added. */
  readonly retryAfterMs?: number;
}

/**
 * The answer for a reason, as problem+json (RFC 9457).
 * @param detailReason a guard's reason, which replaces `route-refused` in the body
 * @param jitter 0 to 1; spreads the clients' next tries over three seconds, so that they do not come back together
 */
export function problemAnswer(
  reason: RefusalReason,
  options: RefusalDetail & { readonly requestId?: string; readonly detailReason?: string; readonly jitter: number },
): ProblemAnswer {
  const { code, title, retry, ...row }: RefusalRow = refusals[reason];
  const { requestId, detailReason = reason, location, retryAfterMs = 1_000 } = options;
  const status = location === undefined ? row.status : 307;
  const body = JSON.stringify({
    type: "about:blank",
    title,
    status,
    code,
    reason: detailReason,
    ...(requestId === undefined ? {} : { requestId }),
  });
  const headers = ["content-type", "application/problem+json", "content-length", `${body.length}`];
  headers.push("cache-control", "no-store");
  if (retry === true)
    headers.push("retry-after", `${Math.ceil(retryAfterMs / 1_000) + Math.floor(options.jitter * 3)}`);
  if (location !== undefined) headers.push("location", location);
  if (status === 405) headers.push("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  if (status === 426) headers.push("upgrade", "websocket");
  if (requestId !== undefined) headers.push("x-request-id", requestId);
  return { status, headers, body };
}
