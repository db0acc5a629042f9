import type {
  AuditView,
  PoolView,
  ReleaseView,
  RouterView,
  StampView,
  TenantEventView,
  TenantView,
  TokenView,
} from "@stampyard/api";
import {
  type Adoption,
  type Digest,
  type GoalDetail,
  type Instant,
  lackingCapabilities,
  type Pool,
  type Setback,
  type Stamp,
  type StampObservation,
  type StampState,
  type Tenant,
  type TenantState,
  type Verification,
} from "@stampyard/domain";
import type {
  AuditRecord,
  DirectoryHead,
  ObservedStamp,
  PoolUse,
  Release,
  Revisioned,
  RouterRecord,
  TenantEvent,
  TokenRecord,
  UsedPlaces,
} from "../store/port.ts";

/** Records as the wire shows them. Only named fields are copied: a secret that joined a record would not follow. */

export function time(at: Instant): string {
  return new Date(at).toISOString();
}

const noPlaces: UsedPlaces = { tenants: 0, units: {} };

export function stampView(
  row: Revisioned<Stamp>,
  used: UsedPlaces | undefined,
  observed: ObservedStamp | undefined,
): StampView {
  const { value: stamp, revision, createdAt, updatedAt } = row;
  const { waitingOn } = stamp;
  return {
    name: stamp.name,
    pool: stamp.pool,
    region: stamp.region,
    phase: stamp.state.kind,
    goal: stamp.goal,
    ...(stamp.goalDetail === undefined ? {} : { goalDetail: goalDetailView(stamp.goalDetail) }),
    origin: stamp.origin,
    ...(stamp.reservedFor === undefined ? {} : { reservedFor: stamp.reservedFor }),
    releaseDigest: stamp.releaseDigest,
    stampDigest: stamp.stampDigest,
    parameters: { ...stamp.parameters },
    capacity: { tenants: stamp.capacity.tenants, units: { ...stamp.capacity.units } },
    used: { tenants: (used ?? noPlaces).tenants, units: { ...(used ?? noPlaces).units } },
    endpoints: stamp.endpoints.map(({ host, port }) => ({ host, port })),
    endpointRevision: stamp.endpointRevision,
    ...troubleOf(stamp.state),
    ...(waitingOn === undefined ? {} : { waitingOn }),
    ...lifeView(stamp, used ?? noPlaces),
    ...(observed === undefined ? {} : { observation: observationView(observed.observation, observed.at) }),
    revision,
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
  };
}

/** What only an over-full, a verified or an adopted stamp has. */
function lifeView(stamp: Stamp, used: UsedPlaces): Pick<StampView, "over" | "verification" | "adoption"> {
  const { verification, adoption, capacity } = stamp;
  const over = Object.entries(capacity.units).flatMap(([unit, limit]) =>
    (used.units[unit] ?? 0) > limit ? [unit] : [],
  );
  if (used.tenants > capacity.tenants) over.unshift("tenants");
  return {
    ...(over.length === 0 ? {} : { over }),
    ...(verification === undefined ? {} : { verification: verificationView(verification) }),
    ...(adoption === undefined ? {} : { adoption: adoptionView(adoption) }),
  };
}

function verificationView(shown: Verification): NonNullable<StampView["verification"]> {
  const { at, through, router, steps, tookMs, note } = shown;
  return {
    at: time(at),
    through,
    ...(router === undefined ? {} : { router }),
    steps,
    tookMs,
    ...(note === undefined ? {} : { note }),
  };
}

function adoptionView({ healthPath, hasDatabase, capabilities }: Adoption): NonNullable<StampView["adoption"]> {
  const lacking = lackingCapabilities(capabilities, hasDatabase);
  const all = ["guard", "fence", "drain", "restore"] as const;
  return {
    ...(healthPath === undefined ? {} : { healthPath }),
    hasDatabase,
    capabilities: all.filter((capability) => capabilities[capability]),
    lacking: lacking.map(({ capability, add }) => ({ capability, add })),
  };
}

function goalDetailView({ since, deadline, ...detail }: GoalDetail): NonNullable<StampView["goalDetail"]> {
  return {
    ...detail,
    ...(since === undefined ? {} : { since: time(since) }),
    ...(deadline === undefined ? {} : { deadline: time(deadline) }),
  };
}

export function observationView(seen: StampObservation, at: Instant): NonNullable<StampView["observation"]> {
  const { presence, host, stampDigest, reason } = seen;
  return {
    presence,
    host,
    ...(stampDigest === undefined ? {} : { stampDigest }),
    endpointRevision: seen.endpointRevision,
    components: seen.components.map(({ name, replica, status, pid, restarts, reason: why, since }) => ({
      name,
      replica,
      status,
      ...(pid === undefined ? {} : { pid }),
      restarts,
      ...(why === undefined ? {} : { reason: why }),
      since: time(since),
    })),
    ...(reason === undefined ? {} : { reason }),
    at: time(at),
  };
}

interface Trouble {
  attempt?: number;
  cause?: string;
  retryAt?: string;
}

/** Attempt, cause and next try, wherever the state keeps them. */
function troubleOf(state: StampState | TenantState): Trouble {
  const setback = "setback" in state ? state.setback : undefined;
  const from = (setback ?? state) as Partial<Setback>;
  return {
    ...(from.attempt === undefined ? {} : { attempt: from.attempt }),
    ...(from.cause === undefined ? {} : { cause: from.cause }),
    ...(from.retryAt === undefined || from.cause === undefined ? {} : { retryAt: time(from.retryAt) }),
  };
}

export function tenantView(row: Revisioned<Tenant>, directoryVersion?: number): TenantView {
  const { value: tenant, revision, createdAt, updatedAt } = row;
  return {
    key: tenant.key,
    pool: tenant.pool,
    tier: tenant.tier,
    residency: [...tenant.residency],
    weight: { ...tenant.weight },
    hostnames: [...tenant.hostnames],
    phase: tenant.state.kind,
    goal: tenant.goal,
    ...(tenant.suspension === undefined
      ? {}
      : { suspension: { ...tenant.suspension, at: time(tenant.suspension.at) } }),
    ...(tenant.tenancy === undefined ? {} : { tenancy: tenant.tenancy }),
    ...(tenant.channel === undefined ? {} : { channel: tenant.channel }),
    ...(tenant.stamp === undefined ? {} : { stamp: tenant.stamp }),
    epoch: tenant.epoch,
    ...troubleOf(tenant.state),
    ...(tenant.waitingOn === undefined ? {} : { waitingOn: tenant.waitingOn }),
    ...(directoryVersion === undefined ? {} : { directoryVersion }),
    revision,
    createdAt: time(createdAt),
    updatedAt: time(updatedAt),
  };
}

export function tenantEventView(event: TenantEvent): TenantEventView {
  const { at, stamp, detail, ...rest } = event;
  return {
    at: time(at),
    event: rest.event,
    phase: rest.phase,
    epoch: rest.epoch,
    actor: rest.actor,
    ...(stamp === undefined ? {} : { stamp }),
    ...(detail === undefined ? {} : { detail }),
  };
}

/** @param isKept whether files with this digest are kept; absent = nobody keeps any */
export function releaseView(
  release: Release,
  current: Digest | undefined,
  stamps: readonly Stamp[],
  isKept?: (content: Digest) => boolean,
): ReleaseView {
  const { digest, version, template, createdAt, createdBy, notes, content } = release;
  return {
    digest,
    template: template.name,
    version,
    createdAt: time(createdAt),
    createdBy,
    ...(notes === undefined ? {} : { notes }),
    ...(content === undefined ? {} : { content }),
    ...(content === undefined || isKept === undefined ? {} : { kept: isKept(content) }),
    current: digest === current,
    stamps: stamps.filter((stamp) => stamp.releaseDigest === digest && stamp.goal !== "absent").length,
  };
}

export function poolView(pool: Pool, use: PoolUse | undefined): PoolView {
  const counts = use?.stamps ?? {};
  const { name, tenancy, regions, stamps, tiers, channel, placement, growth, automation } = pool;
  const { capacity, parameters, catchAll } = pool;
  return {
    name,
    tenancy,
    regions: [...regions],
    stamps: { min: stamps.min, max: stamps.max, ...(stamps.spare === undefined ? {} : { spare: stamps.spare }) },
    ...(tiers === undefined ? {} : { tiers: [...tiers] }),
    ...(channel === undefined ? {} : { channel }),
    ...(placement === undefined ? {} : { placement: { ...placement } }),
    ...(growth === undefined ? {} : { growth: { ...growth } }),
    ...(automation === undefined ? {} : { automation: { ...automation } }),
    ...(capacity === undefined ? {} : { capacity: { ...capacity, units: { ...capacity.units } } }),
    parameters: { ...parameters },
    ...(catchAll === undefined ? {} : { catchAll: { ...catchAll } }),
    present: Object.values(counts).reduce((sum, count) => sum + count, 0),
    active: counts["active"] ?? 0,
    used: { tenants: use?.used.tenants ?? 0, units: { ...use?.used.units } },
    total: { tenants: use?.capacity.tenants ?? 0, units: { ...use?.capacity.units } },
  };
}

export function routerView(router: RouterRecord, head: DirectoryHead): RouterView {
  const { name, incarnation, version, live, lastSeenAt, address, admin, entrance } = router;
  return {
    name,
    incarnation,
    ackedVersion: version,
    // Numbers of another incarnation say nothing about this one.
    lag: incarnation === head.incarnation ? Math.max(0, head.version - version) : head.version,
    live,
    lastSeenAt: time(lastSeenAt),
    ...(address === undefined ? {} : { address }),
    ...(admin === undefined ? {} : { admin }),
    ...(entrance === undefined ? {} : { entrance }),
  };
}

export function tokenView(token: TokenRecord): TokenView {
  const { id, name, role, createdAt, createdBy, lastUsedAt, revokedAt } = token;
  return {
    id,
    name,
    role,
    createdAt: time(createdAt),
    createdBy,
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: time(lastUsedAt) }),
    ...(revokedAt === undefined ? {} : { revokedAt: time(revokedAt) }),
  };
}

export function auditView(row: AuditRecord): AuditView {
  const { number, chain, at, actor, action, subject, reason, requestId, detail } = row;
  return {
    ...(number === undefined ? {} : { seq: number }),
    at: time(at),
    actor,
    action,
    subject,
    ...(reason === undefined ? {} : { reason }),
    ...(requestId === undefined ? {} : { requestId }),
    detail: { ...detail },
    ...(chain === undefined ? {} : { chain }),
  };
}
