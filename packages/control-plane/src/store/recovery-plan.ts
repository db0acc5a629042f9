import { suspendedHome, type TenantPhase } from "@stampyard/domain";

/** A tenant as the restored store remembers it. */
export interface RememberedTenant {
  readonly key: string;
  readonly phase: TenantPhase;
  readonly stamp?: string;
  readonly epoch: number;
  readonly hostnames: readonly string[];
}

/** What a stamp's `tenant_home` or a router's table says of a tenant. */
export interface Claim {
  /** `stamp/<name>` or `router/<name>`. */
  readonly source: string;
  readonly tenant: string;
  readonly stamp: string;
  readonly epoch: number;
  /** `active` or `suspended` in a stamp owns the tenant; `routed` = a router sends it there. */
  readonly state: string;
  readonly hostnames: readonly string[];
}

export interface RecoveryFacts {
  readonly tenants: readonly RememberedTenant[];
  /** Highest epochs of keys that are gone. */
  readonly goneEpochs: ReadonlyMap<string, number>;
  /** Stamps that the store knows, which must all be read but for the adopted. */
  readonly stamps: readonly string[];
  /** Those of them that were adopted: they have no record of their tenants, so routers and this store are believed. */
  readonly adopted: readonly string[];
  /** Routers that are live, which must all report. */
  readonly routers: readonly string[];
  /** Recovering has only begun, or this leader has: routers may still be on their way. */
  readonly isEarly: boolean;
  /** Sources that have been read to their end. */
  readonly complete: ReadonlySet<string>;
  /** The router whose table is the newest, and not older than the store: it alone knows hostnames changed since. */
  readonly newestRouter: string | undefined;
  readonly claims: readonly Claim[];
  /** A person's word: the home, or undefined to forget the tenant. */
  readonly decisions: ReadonlyMap<string, string | undefined>;
}

export interface Adoption {
  readonly tenant: string;
  readonly stamp: string;
  readonly epoch: number;
  /** Undefined: as the store has them. */
  readonly hostnames: readonly string[] | undefined;
  readonly why: string;
  /** False when the stamp must be told first: it holds another epoch, or could not be asked. */
  readonly stampKnows: boolean;
  /** An operator had stopped it: its stamp still says so. */
  readonly suspended?: true;
}

export interface Conflict {
  readonly tenant: string;
  readonly why: string;
  readonly claims: readonly { readonly stamp: string; readonly epoch: number; readonly source: string }[];
}

export interface RecoveryPlan {
  readonly adopt: readonly Adoption[];
  /** Tenants that a person said are gone, with the highest epoch anybody saw. */
  readonly forget: readonly { readonly tenant: string; readonly epoch: number }[];
  readonly conflicts: readonly Conflict[];
  readonly waitingOn: readonly string[];
}

/**
 * What is true after a restore or a fork (decision D9): the highest active epoch wins, unknown tenants are registered
 * again, and whatever two honest witnesses see differently waits for a person. Reads nothing, changes nothing.
 */
export function planRecovery(facts: RecoveryFacts): RecoveryPlan {
  const claims = new Map<string, Claim[]>();
  for (const claim of facts.claims) {
    const of = claims.get(claim.tenant);
    if (of === undefined) claims.set(claim.tenant, [claim]);
    else of.push(claim);
  }
  const remembered = new Map(facts.tenants.map((tenant) => [tenant.key, tenant]));
  const keys = [...new Set([...remembered.keys(), ...claims.keys(), ...facts.decisions.keys()])].sort();

  const adopt: Adoption[] = [];
  const forget: { tenant: string; epoch: number }[] = [];
  const conflicts: Conflict[] = [];
  for (const key of keys) {
    const outcome = withNewestHostnames(key, remembered.get(key), claims.get(key) ?? [], facts);
    if (outcome.kind === "adopt") adopt.push(outcome.adoption);
    if (outcome.kind === "forget") forget.push({ tenant: key, epoch: outcome.epoch });
    if (outcome.kind === "conflict") conflicts.push(outcome.conflict);
  }
  const readable = facts.stamps.filter((stamp) => !facts.adopted.includes(stamp));
  const sources = [...readable.map((s) => `stamp/${s}`), ...facts.routers.map((r) => `router/${r}`)];
  const waitingOn = sources.filter((source) => !facts.complete.has(source)).map((s) => `the report of ${s}`);
  const heard = facts.routers.length > 0 || [...facts.complete].some((source) => source.startsWith("router/"));
  if (facts.isEarly && !heard) waitingOn.push("routers to connect");
  return { adopt, forget, conflicts, waitingOn };
}

type Outcome =
  | { readonly kind: "keep" }
  | { readonly kind: "adopt"; readonly adoption: Adoption }
  | { readonly kind: "forget"; readonly epoch: number }
  | { readonly kind: "conflict"; readonly conflict: Conflict };

/** Stamps know nothing of hostnames, so what routers were told last is the truth about them. */
function withNewestHostnames(
  key: string,
  memory: RememberedTenant | undefined,
  claims: readonly Claim[],
  facts: RecoveryFacts,
): Outcome {
  const outcome = planTenant(key, memory, claims, facts);
  const newest = claims.find((claim) => claim.source === facts.newestRouter && claim.state === "routed");
  if (outcome.kind === "adopt") {
    const known = newest?.hostnames ?? (memory === undefined ? outcome.adoption.hostnames : undefined);
    return { kind: "adopt", adoption: { ...outcome.adoption, hostnames: known } };
  }
  if (outcome.kind !== "keep" || newest === undefined || memory?.phase !== "active") return outcome;
  if (newest.stamp !== memory.stamp || newest.epoch !== memory.epoch) return outcome;
  if (sameNames(newest.hostnames, memory.hostnames)) return outcome;
  const { stamp, epoch, hostnames } = newest;
  const why = `${newest.source} knows other hostnames`;
  return { kind: "adopt", adoption: { tenant: key, stamp, epoch, hostnames, why, stampKnows: true } };
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((hostname) => b.includes(hostname));
}

function planTenant(
  key: string,
  memory: RememberedTenant | undefined,
  claims: readonly Claim[],
  facts: RecoveryFacts,
): Outcome {
  const highest = Math.max(memory?.epoch ?? 0, facts.goneEpochs.get(key) ?? 0, ...claims.map((claim) => claim.epoch));
  if (facts.decisions.has(key)) return decided(key, facts.decisions.get(key), claims, highest);

  const active = claims.filter(isOwner).sort((a, b) => b.epoch - a.epoch);
  // Where a suspended tenant lives, routers do not say.
  const routed = claims
    .filter((claim) => claim.state === "routed" && claim.stamp !== suspendedHome)
    .sort((a, b) => b.epoch - a.epoch);
  const [owner, second] = active;
  if (owner === undefined) return withoutOwner(key, memory, claims, routed, facts);
  if (second?.epoch === owner.epoch) {
    return conflict(key, `${owner.stamp} and ${second.stamp} both own it at epoch ${owner.epoch}`, claims);
  }
  const seen = Math.max(routed[0]?.epoch ?? 0, memory?.phase === "active" ? memory.epoch : 0);
  if (seen > owner.epoch) {
    return conflict(key, `epoch ${seen} was routed, and the highest that any stamp owns is ${owner.epoch}`, claims);
  }
  const gone = facts.goneEpochs.get(key);
  if (memory === undefined && gone !== undefined && gone >= owner.epoch) {
    return conflict(key, `${owner.stamp} owns it at epoch ${owner.epoch}, and it was deleted at ${gone}`, claims);
  }
  const elsewhere = routed.find((claim) => claim.epoch === owner.epoch && claim.stamp !== owner.stamp);
  if (elsewhere !== undefined) {
    return conflict(key, `${elsewhere.source} routes epoch ${owner.epoch} to ${elsewhere.stamp}`, claims);
  }
  if (memory?.stamp === owner.stamp && memory.epoch === owner.epoch) {
    // A deletion that had begun goes on by itself.
    if (isAgreed(memory.phase, owner)) return { kind: "keep" };
  }
  const why =
    memory === undefined ? `${owner.stamp} owns it, and this store does not know it` : `${owner.stamp} owns it`;
  return adoption(key, owner.stamp, owner.epoch, claims, why, true, owner.state === "suspended");
}

function isOwner({ state }: Claim): boolean {
  return state === "active" || state === "suspended";
}

/** What had begun goes on by itself: a deletion always, a suspension or its end from whatever the stamp was told. */
function isAgreed(phase: TenantPhase, { state }: Claim): boolean {
  if (phase === "deleting" || phase === "suspending" || phase === "resuming") return true;
  return phase === state;
}

/** No stamp that was read says it owns the tenant. */
function withoutOwner(
  key: string,
  memory: RememberedTenant | undefined,
  claims: readonly Claim[],
  routed: readonly Claim[],
  facts: RecoveryFacts,
): Outcome {
  const [route] = routed;
  const unreadable = (stamp: string) => facts.stamps.includes(stamp) && !facts.complete.has(`stamp/${stamp}`);
  if (route !== undefined && route.epoch >= (memory?.epoch ?? 0)) {
    if (!facts.stamps.includes(route.stamp)) {
      return conflict(
        key,
        `${route.source} routes it to ${route.stamp}, a stamp that this store does not know`,
        claims,
      );
    }
    if (routed.some((other) => other.epoch === route.epoch && other.stamp !== route.stamp)) {
      return conflict(key, `routers send epoch ${route.epoch} to different stamps`, claims);
    }
    if (unreadable(route.stamp)) {
      if (memory?.phase === "active" && memory.stamp === route.stamp && memory.epoch === route.epoch) return keep;
      return adoption(key, route.stamp, route.epoch, claims, `${route.source} routes it to ${route.stamp}`, false);
    }
  }
  if (memory === undefined) {
    // Closed copies, and routes that nobody answers for: no owner, nothing to register.
    return keep;
  }
  if (memory.phase !== "active") return keep;
  if (memory.stamp !== undefined && unreadable(memory.stamp)) return keep;
  return conflict(key, `it should be on ${memory.stamp ?? "a stamp"}, which does not own it`, claims);
}

const keep: Outcome = { kind: "keep" };

/** A new word is a new epoch, unless that stamp owns the tenant at the highest one already. */
function decided(key: string, stamp: string | undefined, claims: readonly Claim[], highest: number): Outcome {
  if (stamp === undefined) return { kind: "forget", epoch: highest };
  const owners = claims.filter((claim) => isOwner(claim) && claim.epoch === highest);
  const owns = owners.length === 1 && owners[0]?.stamp === stamp;
  const suspended = owns && owners[0]?.state === "suspended";
  return adoption(key, stamp, owns ? highest : highest + 1, claims, "a person decided", owns, suspended);
}

function adoption(
  tenant: string,
  stamp: string,
  epoch: number,
  claims: readonly Claim[],
  why: string,
  stampKnows: boolean,
  suspended = false,
): Outcome {
  const [latest] = claims.filter((claim) => claim.hostnames.length > 0).sort((a, b) => b.epoch - a.epoch);
  const hostnames = latest?.hostnames ?? [];
  const found = { tenant, stamp, epoch, hostnames, why, stampKnows };
  return { kind: "adopt", adoption: suspended ? { ...found, suspended } : found };
}

function conflict(tenant: string, why: string, claims: readonly Claim[]): Outcome {
  const told = claims.map(({ stamp, epoch, source }) => ({ stamp, epoch, source }));
  return { kind: "conflict", conflict: { tenant, why, claims: told } };
}
