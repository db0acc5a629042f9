import { suspendedHome, type TenantPhase } from "@stampyard/domain";
import { findMoves, type FoundHome, type MoveFinding, type RememberedMove } from "./recovery-moves.ts";
import { isOwner, openingOf, type Owner, ownersOf } from "./recovery-owners.ts";

/** A tenant as the restored store remembers it. */
export interface RememberedTenant {
  readonly key: string;
  readonly phase: TenantPhase;
  readonly stamp?: string;
  readonly epoch: number;
  readonly hostnames: readonly string[];
  /** The move that it is in. */
  readonly move?: string;
}

/** What a stamp's `tenant_home` or a router's table says of a tenant. */
export interface Claim {
  /** `stamp/<name>` or `router/<name>`. */
  readonly source: string;
  readonly tenant: string;
  readonly stamp: string;
  readonly epoch: number;
  /**
   * In a stamp `active`, `suspended` and `fenced` own the tenant, and `moved` says who does (decision D12); `routed` = a
   * router sends it there.
   */
  readonly state: string;
  readonly hostnames: readonly string[];
  readonly moveId?: string;
  /** Of `moved`: the stamp. */
  readonly movedTo?: string;
  /** Captured for a way back. */
  readonly isWatched?: boolean;
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
  /** That have not ended. */
  readonly moves: readonly RememberedMove[];
  /** Ids of those and of the ended ones. */
  readonly knownMoves: ReadonlySet<string>;
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
  /** The move that it is in; what is wanted of it stays. */
  readonly moving?: string;
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
  readonly moves: readonly MoveFinding[];
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
  const open = new Map<string, RememberedMove[]>();
  for (const move of facts.moves) open.set(move.tenant, [...(open.get(move.tenant) ?? []), move]);
  const keys = [...new Set([...remembered.keys(), ...claims.keys(), ...facts.decisions.keys()])].sort();

  const adopt: Adoption[] = [];
  const forget: { tenant: string; epoch: number }[] = [];
  const moves: MoveFinding[] = [];
  const conflicts: Conflict[] = [];
  for (const key of keys) {
    const of = claims.get(key) ?? [];
    const { outcome, findings } = withMoves(key, remembered.get(key), of, open.get(key) ?? [], facts);
    moves.push(...findings);
    if (outcome.kind === "adopt") adopt.push(outcome.adoption);
    if (outcome.kind === "forget") forget.push({ tenant: key, epoch: outcome.epoch });
    if (outcome.kind === "conflict") conflicts.push(outcome.conflict);
  }
  const readable = facts.stamps.filter((stamp) => !facts.adopted.includes(stamp));
  const sources = [...readable.map((s) => `stamp/${s}`), ...facts.routers.map((r) => `router/${r}`)];
  const waitingOn = sources.filter((source) => !facts.complete.has(source)).map((s) => `the report of ${s}`);
  const heard = facts.routers.length > 0 || [...facts.complete].some((source) => source.startsWith("router/"));
  if (facts.isEarly && !heard) waitingOn.push("routers to connect");
  return { adopt, forget, moves, conflicts, waitingOn };
}

type Outcome =
  | { readonly kind: "keep" }
  | { readonly kind: "adopt"; readonly adoption: Adoption }
  | { readonly kind: "forget"; readonly epoch: number }
  | { readonly kind: "conflict"; readonly conflict: Conflict };

interface Judged {
  readonly outcome: Outcome;
  readonly findings: readonly MoveFinding[];
}

/** The home first, then what it makes of the tenant's moves, and last the phase that these leave it in. */
function withMoves(
  key: string,
  memory: RememberedTenant | undefined,
  claims: readonly Claim[],
  open: readonly RememberedMove[],
  facts: RecoveryFacts,
): Judged {
  const outcome = withNewestHostnames(key, memory, claims, facts);
  const home = homeOf(outcome, memory, claims);
  if (home === undefined || (open.length === 0 && claims.every((claim) => claim.moveId === undefined))) {
    return { outcome, findings: [] };
  }
  const isRead = (stamp: string) => facts.complete.has(`stamp/${stamp}`);
  const { findings, moving } = findMoves(home, { claims, open, known: facts.knownMoves, isRead });
  if (outcome.kind === "adopt" && home.opening !== undefined && moving === undefined) {
    const why = `${home.opening.from} gave it to ${home.stamp}, which has not opened it, and the move has ended`;
    return { outcome: conflict(key, why, claims), findings: [] };
  }
  if (outcome.kind === "adopt") {
    // A stamp that must be told first has another turn than that of a move.
    const isIn = moving !== undefined && (outcome.adoption.stampKnows || home.opening !== undefined);
    const { stamp, epoch } = home.opening === undefined ? home : { stamp: home.opening.from, epoch: home.epoch - 1 };
    const adopted = { ...outcome.adoption, stamp, epoch, stampKnows: outcome.adoption.stampKnows || isIn };
    return { outcome: { kind: "adopt", adoption: isIn ? { ...adopted, moving } : outcome.adoption }, findings };
  }
  if (outcome.kind !== "keep" || memory === undefined) return { outcome, findings };
  // It has landed in this store too.
  const news = findings.filter((finding) => finding.kind !== "landed");
  if (memory.phase !== "moving" || moving === memory.move) return { outcome, findings: news };
  const why = `move ${memory.move ?? "of it"} has ended`;
  return { outcome: adoption(key, home.stamp, home.epoch, claims, why, true), findings: news };
}

/** Undefined where nobody knows of one. */
function homeOf(
  outcome: Outcome,
  memory: RememberedTenant | undefined,
  claims: readonly Claim[],
): FoundHome | undefined {
  if (outcome.kind === "adopt") {
    const { stamp, epoch } = outcome.adoption;
    const opening = openingOf(claims).find((decided) => decided.stamp === stamp && decided.epoch === epoch);
    return opening ?? { stamp, epoch };
  }
  if (outcome.kind !== "keep" || memory?.stamp === undefined) return undefined;
  const opening = openingOf(claims).find((decided) => decided.epoch === memory.epoch + 1);
  return opening ?? { stamp: memory.stamp, epoch: memory.epoch };
}

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
  if (outcome.kind !== "keep" || newest === undefined || !isServed(memory)) return outcome;
  if (newest.stamp !== memory.stamp || newest.epoch !== memory.epoch) return outcome;
  if (sameNames(newest.hostnames, memory.hostnames)) return outcome;
  const { stamp, epoch, hostnames } = newest;
  const why = `${newest.source} knows other hostnames`;
  return { kind: "adopt", adoption: { tenant: key, stamp, epoch, hostnames, why, stampKnows: true } };
}

function isServed(memory: RememberedTenant | undefined): memory is RememberedTenant {
  return memory?.phase === "active" || memory?.phase === "moving";
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

  const owners = ownersOf(claims);
  // Where a suspended tenant lives, routers do not say.
  const routed = claims
    .filter((claim) => claim.state === "routed" && claim.stamp !== suspendedHome)
    .sort((a, b) => b.epoch - a.epoch);
  const [owner, second] = owners;
  if (owner === undefined) return withoutOwner(key, memory, claims, routed, facts);
  if (second?.epoch === owner.epoch && second.stamp !== owner.stamp) {
    return conflict(key, `${owner.stamp} and ${second.stamp} both own it at epoch ${owner.epoch}`, claims);
  }
  const seen = Math.max(routed[0]?.epoch ?? 0, isServed(memory) ? memory.epoch : 0);
  if (seen > owner.epoch) {
    return conflict(key, `epoch ${seen} was routed, and the highest that any stamp owns is ${owner.epoch}`, claims);
  }
  if (owner.isSaidOf === true) return saidOf(key, owner, memory, claims, routed, facts);
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

/** The source has decided, and nothing but what it says is known of the target. */
function saidOf(
  key: string,
  { stamp, epoch, by }: Owner,
  memory: RememberedTenant | undefined,
  claims: readonly Claim[],
  routed: readonly Claim[],
  facts: RecoveryFacts,
): Outcome {
  const from = by?.stamp ?? "its source";
  const said = `${from} says that it moved to ${stamp} at epoch ${epoch}`;
  const isReadable = facts.complete.has(`stamp/${stamp}`);
  const isOpening = openingOf(claims).some((opening) => opening.stamp === stamp && opening.epoch === epoch);
  // A stamp that a tenant has left keeps that row for ever; where it has gone since, nobody owns it any more.
  const isOver = memory === undefined && isReadable && !isOpening;
  if (isOver || (facts.goneEpochs.get(key) ?? 0) >= epoch) return keep;
  if (!facts.stamps.includes(stamp)) return conflict(key, `${said}, a stamp that this store does not know`, claims);
  if (isReadable && !isOpening) return conflict(key, `${said}, which does not have it`, claims);
  if (isOpening && routed.some((claim) => claim.epoch >= epoch)) {
    return conflict(key, `${said}, which was routed there already and has lost it`, claims);
  }
  // Its move opens it, and then it lands.
  if (memory?.phase === "moving" && memory.move === by?.moveId && memory.epoch === epoch - 1) return keep;
  if (memory?.stamp === stamp && memory.epoch === epoch) return keep;
  if (!isReadable) return conflict(key, `${said}, which does not answer`, claims);
  return adoption(key, stamp, epoch, claims, said, true);
}

/** What had begun goes on by itself: a deletion always, a suspension or its end from whatever the stamp was told. */
function isAgreed(phase: TenantPhase, { state }: Pick<Claim, "state">): boolean {
  if (phase === "deleting" || phase === "suspending" || phase === "resuming") return true;
  // Fenced for the last moment of a move, which opens it again or takes it away; armed looks like active.
  if (state === "fenced") return phase === "active" || phase === "moving";
  return phase === state || (phase === "moving" && state === "active");
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
      if (isServed(memory) && memory.stamp === route.stamp && memory.epoch === route.epoch) return keep;
      return adoption(key, route.stamp, route.epoch, claims, `${route.source} routes it to ${route.stamp}`, false);
    }
  }
  if (memory === undefined) {
    // Closed copies, and routes that nobody answers for: no owner, nothing to register.
    return keep;
  }
  if (!isServed(memory)) return keep;
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
