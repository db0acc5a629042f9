import type { DirectoryView } from "@stampyard/directory";
import { type Routing, type RoutingRule, ruleText, type TenantLimits } from "@stampyard/domain";
import {
  compiled,
  type Decision,
  malformedHeader,
  malformedPath,
  type Named,
  namedBy,
  type RequestFacts,
  type Rule,
  regionOf,
  tenantless,
} from "./decide.ts";
import { trialsOf } from "./decide-by-trials.ts";
import { type AcceptedTarget, decideInForce, factsOf, redirection } from "./find-route.ts";
import type { HoldState } from "./hold.ts";
import { parseHost } from "./host.ts";
import { type RefusalReason, refusals } from "./refusals.ts";
import type { RouteState } from "./route-state.ts";
import { routingHeaders } from "./routing-headers.ts";
import { limitsFor, type TenantState } from "./tenant-gate.ts";

/** One rule as its file says it, and what it read in this request. */
export interface RuleOutcome {
  /** e.g. `host {tenant}.localhost`. */
  readonly rule: string;
  readonly kind: RoutingRule["kind"];
  readonly outcome: "decides" | "agrees" | "conflicts" | "no-match" | "malformed" | "not-trusted";
  readonly tenant?: string;
}

/** Why a request would go where it goes; made by the same functions that route. */
export interface Explanation {
  readonly host?: string;
  readonly path?: string;
  /** Every rule, in its order; those of the trial where one decided. */
  readonly rules: readonly RuleOutcome[];
  /** Not the fleet's rules decided, but those that are on trial at these stamps. */
  readonly trial?: {
    readonly stamps: readonly string[];
    /** Home of the request by the fleet's rules, where the trial gives it to nobody or to somebody else. */
    readonly lostBy?: string;
  };
  readonly rule?: Rule;
  /** Absent for requests of no tenant. */
  readonly tenant?: string;
  readonly stamp?: string;
  readonly region?: string;
  readonly epoch?: number;
  readonly endpoints?: readonly string[];
  /** Where a suspended tenant lives and nobody is sent. */
  readonly home?: string;
  /** Path that the stamp gets. */
  readonly forwardedPath?: string;
  readonly geography?: { readonly country: string | undefined; readonly region: string | undefined };
  /** The fallback takes it, because of this. */
  readonly unresolved?: "no-tenant" | "unknown-tenant";
  readonly hold?: HoldState;
  readonly limits?: { readonly limits: TenantLimits } & TenantState;
  readonly outcome: "forward" | "refuse" | "wait";
  readonly reason?: RefusalReason;
  readonly status?: number;
  readonly location?: string;
  readonly directoryVersion: number;
}

export interface Question {
  /** e.g. `http://acme.localhost:8080/notes?x=1`. */
  readonly url: string;
  /** `name: value`, any number of them. */
  readonly headers: readonly string[];
  /** Whether the request comes from a trusted peer. */
  readonly peerTrusted: boolean;
  /** Where it comes from. @default 127.0.0.1 */
  readonly peer?: string;
}

export interface Known {
  readonly directory: DirectoryView | undefined;
  readonly version: number;
  readonly hasKey: (stamp: string) => boolean;
  readonly state?: RouteState;
}

const noState = { scope: undefined, redirect: undefined, now: () => 0 };

export function explain({ directory, version, hasKey, state }: Known, question: Question): Explanation {
  const nothing = { rules: [], outcome: "refuse", directoryVersion: version } as const;
  const parts = /^https?:\/\/([^/?#]*)([^?#]*)(\?[^#]*)?/i.exec(question.url);
  if (parts === null) return refused(nothing, "bad-target");
  const rawHeaders = question.headers.flatMap((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
  });
  const named = rawHeaders.findIndex((text, index) => index % 2 === 0 && text === "host");
  const host = parseHost((named < 0 ? undefined : rawHeaders[named + 1]) ?? parts[1] ?? "");
  if (host === undefined) return refused(nothing, "bad-host");
  const path = parts[2] === "" || parts[2] === undefined ? "/" : parts[2];
  const about = { ...nothing, host: host.name, path };
  if (directory === undefined) return refused(about, "not-ready");

  const { scope, redirect, now } = state ?? noState;
  const accepted: AcceptedTarget = { hostName: host.name, host: host.name, path, query: parts[3] ?? "" };
  const { peerTrusted, peer: peerAddress = "127.0.0.1" } = question;
  const asked = { request: { rawHeaders }, accepted, peerTrusted, peerAddress };
  const base = factsOf(directory.routing(), asked, { now });
  if (base === undefined) return refused(about, "malformed-header");
  const decision = decideInForce(directory, base, asked, { now, scope });
  const routing = routingOf(directory, decision);
  const trusts = routing === directory.routing() ? peerTrusted : routingHeaders(routing).trusted(peerAddress);
  const facts = factsOf(routing, { ...asked, peerTrusted: trusts }, { now }) ?? base;
  const known = {
    ...about,
    rules: ruleOutcomes(directory, routing, facts),
    ...trialOf(decision),
    ...details(directory, routing, facts, decision, state),
  };
  if (decision.kind === "refuse") {
    const location = redirection({ redirect }, decision, { accepted })?.location;
    return { ...refused(known, decision.reason), ...(location === undefined ? {} : { status: 307, location }) };
  }
  if (decision.tenant !== undefined && state?.holds.isHeld(decision.tenant) === true) {
    return { ...known, outcome: "wait", reason: "held" };
  }
  if (!hasKey(decision.stamp)) return refused(known, "no-route-key");
  return { ...known, outcome: "forward", forwardedPath: decision.path };
}

/** The rules that decided. */
function routingOf(directory: DirectoryView, { trial }: Decision): Routing {
  const routing = directory.routing();
  return trial === undefined ? routing : (trialsOf(routing).find((one) => one.trial === trial)?.routing ?? routing);
}

function trialOf({ trial, lost }: Decision): Pick<Explanation, "trial"> {
  if (trial === undefined) return {};
  return { trial: { stamps: trial.stamps, ...(lost === undefined ? {} : { lostBy: lost.stamp }) } };
}

/** What every rule says, with the same function that routes. */
function ruleOutcomes(directory: DirectoryView, routing: Routing, facts: RequestFacts): readonly RuleOutcome[] {
  const { rules, hosts } = compiled(routing);
  let first: Named;
  return rules.map((rule): RuleOutcome => {
    const named = namedBy(rule, directory, facts, hosts);
    const row = { rule: ruleText(rule), kind: rule.kind };
    if (named === undefined) {
      const unheard = rule.kind === "header" && !facts.peerTrusted;
      return { ...row, outcome: unheard ? "not-trusted" : "no-match" };
    }
    if (named === malformedHeader || named === malformedPath) return { ...row, outcome: "malformed" };
    const silent = named === first || named === tenantless;
    const outcome = first === undefined ? "decides" : silent ? "agrees" : "conflicts";
    first ??= named;
    return { ...row, outcome, ...(named === tenantless ? {} : { tenant: named }) };
  });
}

function details(
  directory: DirectoryView,
  routing: Routing,
  facts: RequestFacts,
  decision: Decision,
  state: RouteState | undefined,
): Partial<Explanation> {
  const { rule, tenant, stamp, epoch } = decision;
  const entry = stamp === undefined ? undefined : directory.lookupStamp(stamp);
  const region = entry?.region ?? (decision.kind === "refuse" ? decision.region : undefined);
  const hold = state?.holds.states().find((held) => held.tenant === tenant);
  const limits = limitsFor(routing.limits, entry?.pool ?? "", directory, tenant ?? "");
  const unresolved = decision.kind === "forward" ? decision.unresolved : undefined;
  const isSuspended = decision.kind === "refuse" && decision.reason === "tenant-suspended";
  const home = isSuspended ? directory.detailsAt(directory.findTenant(tenant ?? ""))?.["home"] : undefined;
  return {
    ...(rule === undefined ? {} : { rule }),
    ...(tenant === undefined ? {} : { tenant }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(region === undefined ? {} : { region }),
    ...(epoch === undefined ? {} : { epoch }),
    ...(stamp === undefined ? {} : { endpoints: (entry?.endpoints ?? []).map((one) => `${one.host}:${one.port}`) }),
    ...(typeof home === "string" ? { home } : {}),
    ...(rule === "geography"
      ? { geography: { country: facts.country, region: regionOf(routing, facts.country) } }
      : {}),
    ...(unresolved === undefined ? {} : { unresolved }),
    ...(hold === undefined ? {} : { hold }),
    ...(limits === undefined || tenant === undefined || state === undefined
      ? {}
      : { limits: { limits, ...state.gate.state(tenant, limits) } }),
  };
}

function refused(known: Omit<Explanation, "reason" | "status">, reason: RefusalReason): Explanation {
  return { ...known, outcome: "refuse", reason, status: refusals[reason].status };
}
