import type { DirectoryView } from "@stampyard/directory";
import type { Endpoint, Routing } from "@stampyard/domain";
import { type Decision, decide, type Forward, type Refuse, type RequestFacts } from "./decide.ts";
import { withTrials } from "./decide-by-trials.ts";
import type { StampPool, StampPools } from "./front/stamp-pool.ts";
import type { RefusalDetail, RefusalReason } from "./refusals.ts";
import type { RouteSigner } from "./route-signer.ts";
import type { RouteState } from "./route-state.ts";
import { type RawFields, readRoutingHeaders, routingHeaders } from "./routing-headers.ts";
import { limitsFor } from "./tenant-gate.ts";
import type { TrustedPeers } from "./trusted-peers.ts";

/** What a router knows at this moment. */
export interface Knowledge {
  /** undefined until a table was loaded or received. */
  directory: DirectoryView | undefined;
  trusted: TrustedPeers;
  readonly signer: RouteSigner;
  readonly pools: StampPools;
  readonly state: RouteState;
}

export interface Asking {
  readonly request: RawFields;
  readonly accepted: AcceptedTarget;
  readonly peerAddress: string;
  readonly peerTrusted: boolean;
}

/** Host and target of a request that every reader understands alike. */
export interface AcceptedTarget {
  /** Normalised name for routing. */
  readonly hostName: string;
  /** Normalised `name[:port]`. */
  readonly host: string;
  /** Origin-form path without query. */
  readonly path: string;
  /** `?…` or empty. */
  readonly query: string;
}

export interface FoundRefusal {
  readonly kind: "refuse";
  readonly reason: RefusalReason;
  readonly decision: Decision | undefined;
  /** For `problemAnswer`. */
  readonly detail?: RefusalDetail;
}

export interface FoundRoute {
  readonly kind: "forward";
  readonly decision: Forward;
  readonly pool: StampPool;
  readonly endpoints: readonly Endpoint[];
  /** Path and query for the stamp. */
  readonly target: string;
  /** Signed route header. */
  readonly route: string;
}

export type Found = FoundRefusal | FoundRoute;

/**
 * Everything between an accepted request and its stamp that requests and tunnels have in common. What is found to be
 * forwarded counts as on its way: `endRoute` must follow exactly once. A held tenant is refused with reason `held`; who
 * can wait calls `routeOrWait` instead.
 */
export function findRoute(knowledge: Knowledge, asking: Asking): Found {
  const { directory, signer, pools, state } = knowledge;
  if (directory === undefined) return refuse("not-ready", undefined);
  const facts = factsOf(directory.routing(), asking, state);
  if (facts === undefined) return refuse("malformed-header", undefined);

  const decision = decideInForce(directory, facts, asking, state);
  noteUnresolved(directory, facts, decision, state);
  if (decision.kind === "refuse") return refuse(decision.reason, decision, redirection(state, decision, asking));
  if (decision.tenant !== undefined && state.holds.isHeld(decision.tenant)) return refuse("held", decision);
  const route = signer.sign(decision);
  if (route === undefined) return refuse("no-route-key", decision);

  const home = directory.lookupStamp(decision.stamp);
  const limited = enter(directory, decision, home?.pool ?? "", state);
  if (limited !== undefined) return limited;
  const pool = pools.of(decision.stamp);
  return {
    kind: "forward",
    decision,
    pool,
    endpoints: pool.order(home?.endpoints ?? []),
    target: `${decision.path}${asking.accepted.query}`,
    route,
  };
}

/** The request that `findRoute` gave this route to has ended, in whatever way. */
export function endRoute({ state }: Knowledge, { decision }: FoundRoute): void {
  if (decision.tenant !== undefined) state.gate.leave(decision.tenant);
}

/** Somebody who wants a route. */
export interface Routed {
  onRoute(found: Found): void;
}

/**
 * As `findRoute`, and waits while the tenant is held: then its new home is found (decision D13). `onRoute` is called once,
 * at once for everybody else.
 * @returns forgets the request, for a client that left; `onRoute` is not called after it. undefined = nothing waits
 */
export function routeOrWait(knowledge: Knowledge, asking: Asking, routed: Routed): (() => void) | undefined {
  const found = findRoute(knowledge, asking);
  const tenant = found.kind === "refuse" && found.reason === "held" ? found.decision?.tenant : undefined;
  if (tenant === undefined) {
    routed.onRoute(found);
    return undefined;
  }
  return knowledge.state.holds.wait(tenant, (verdict) =>
    routed.onRoute(verdict === "go" ? findRoute(knowledge, asking) : found),
  );
}

function enter(
  directory: DirectoryView,
  decision: Forward,
  pool: string,
  { gate }: RouteState,
): FoundRefusal | undefined {
  if (decision.tenant === undefined) return undefined;
  const limits = limitsFor(directory.routing().limits, pool, directory, decision.tenant);
  const verdict = gate.enter(decision.tenant, limits);
  switch (verdict.kind) {
    case "in":
      return undefined;
    case "rate":
      return refuse("too-many-requests", decision, { retryAfterMs: verdict.retryAfterMs });
    case "concurrency":
      return refuse("too-many-at-once", decision);
  }
}

type Asked = Pick<Asking, "request" | "accepted" | "peerAddress" | "peerTrusted">;

/** By the fleet's rules, and by those that are on trial at its stamp. @param facts as the fleet's rules want them */
export function decideInForce(
  directory: DirectoryView,
  facts: RequestFacts,
  asked: Asked,
  state: Pick<RouteState, "now" | "scope">,
): Decision {
  const decision = decide(directory, facts, state.scope);
  if (directory.routing().trials === undefined) return decision;
  const factsUnder = (routing: Routing) => {
    const peerTrusted = routingHeaders(routing).trusted(asked.peerAddress);
    return factsOf(routing, { ...asked, peerTrusted }, state);
  };
  return withTrials(directory, decision, factsUnder, state.scope);
}

/** undefined when a header that decides is there twice: the stamp might read the other one. */
export function factsOf(
  routing: Routing,
  { request, accepted, peerAddress, peerTrusted }: Asked,
  { now }: Pick<RouteState, "now">,
): RequestFacts | undefined {
  const headers = routingHeaders(routing);
  const countryTrusted = headers.country !== undefined && headers.trustedForCountry(peerAddress);
  const values = readRoutingHeaders(headers, request, peerTrusted, countryTrusted);
  if (values === undefined) return undefined;
  const { tenant, alias, country, forwardedFor } = values;
  return {
    host: accepted.hostName,
    path: accepted.path,
    header: tenant,
    peerTrusted,
    alias,
    country,
    client: forwardedFor ?? peerAddress,
    nowMs: routing.catchAll === undefined ? 0 : now(),
  };
}

/** While stamp zero takes what no tenant claims, and after that: what it took, or would have taken (D18). */
export function noteUnresolved(
  directory: DirectoryView,
  { host, path, nowMs }: RequestFacts,
  decision: Decision,
  { unresolved }: RouteState,
): void {
  if (directory.routing().catchAll === undefined) return;
  const reason = decision.kind === "forward" ? decision.unresolved : unresolvedReason(decision);
  if (reason !== undefined) unresolved.count(host, path, reason, nowMs);
}

function unresolvedReason({ reason }: Refuse): "no-tenant" | "unknown-tenant" | undefined {
  return reason === "no-tenant" || reason === "unknown-tenant" ? reason : undefined;
}

/** Where a request for another region is sent. Never proxied: its data may not come through here. */
export function redirection(
  { redirect }: Pick<RouteState, "redirect">,
  decision: Refuse,
  { accepted }: Pick<Asking, "accepted">,
): RefusalDetail | undefined {
  if (decision.reason !== "other-region" || redirect === undefined || decision.region === undefined) return undefined;
  // Only names of ours and a host that was parsed stand in it; a pattern that needs a tenant is of no use without one.
  if (decision.tenant === undefined && redirect.includes("{tenant}")) return undefined;
  const origin = redirect
    .replaceAll("{region}", decision.region)
    .replaceAll("{tenant}", decision.tenant ?? "")
    .replaceAll("{host}", accepted.host);
  return { location: `${origin}${accepted.path}${accepted.query}` };
}

function refuse(reason: RefusalReason, decision: Decision | undefined, detail?: RefusalDetail): FoundRefusal {
  return { kind: "refuse", reason, decision, ...(detail === undefined ? {} : { detail }) };
}
