import { isServing, type Instant, type Stamp, StampyardError, verifyTenantKey } from "@stampyard/domain";
import type { DirectoryChange } from "@stampyard/directory";
import { waitForRouters } from "../../reconcilers/router-acks.ts";
import { type ReconcileDeps, type Turn, writeContext } from "../../reconcilers/turn.ts";
import { type Carrier, carriersOf, verifyHostname } from "../../reconcilers/verify-carriers.ts";
import { askHttp, type HttpAnswer } from "./ask-http.ts";
import type { EvidenceMemory } from "./evidence-memory.ts";

export type PresenceDeps = Pick<ReconcileDeps, "store" | "specOf" | "homes" | "hooks" | "clock" | "log">;

/** The tenant of ours in one stamp, so that it can be asked as a client of a tenant asks it. */
export interface Presence {
  kind: "opening" | "open" | "impossible" | "closing";
  carriers: readonly Carrier[];
  /** Not before then is it tried again. */
  retryAt: Instant;
  /** Something of it may be there. */
  isBegun: boolean;
}

const routersHearWithinMs = 5_000;
const retryMs = 10_000;
/** Always the same: it is put and removed as a whole, and never changes its owner. */
const epoch = 1;

/** Brings our tenant into the stamps that are to have it and out of all others, beside everything else. */
export function keepPresences(
  deps: PresenceDeps,
  { presences }: Pick<EvidenceMemory, "presences">,
  wanted: ReadonlySet<string>,
  turn: Turn,
): void {
  const now = deps.clock.now();
  for (const stamp of wanted) {
    const known = presences.get(stamp);
    if (known !== undefined && (known.kind !== "impossible" || now < known.retryAt)) continue;
    const presence: Presence = { kind: "opening", carriers: [], retryAt: 0, isBegun: known?.isBegun ?? false };
    presences.set(stamp, presence);
    void open(deps, stamp, presence, turn).catch((caught: unknown) => {
      presence.kind = "impossible";
      presence.retryAt = deps.clock.now() + retryMs;
      tell(deps, stamp, "our tenant cannot be brought into a stamp", caught, turn);
    });
  }
  for (const [stamp, presence] of presences) {
    if (wanted.has(stamp) || presence.kind === "opening" || presence.kind === "closing" || now < presence.retryAt)
      continue;
    if (!presence.isBegun) {
      presences.delete(stamp);
      continue;
    }
    presence.kind = "closing";
    void removeVerifyTenant(deps, stamp, turn).then(
      () => presences.delete(stamp),
      (caught: unknown) => {
        presence.kind = "impossible";
        presence.retryAt = deps.clock.now() + retryMs;
        tell(deps, stamp, "our tenant cannot be taken out of a stamp", caught, turn);
      },
    );
  }
}

/** What another process that led has left behind. */
export async function findLeftPresences(
  { store }: Pick<PresenceDeps, "store">,
  { presences }: Pick<EvidenceMemory, "presences">,
  signal: AbortSignal,
): Promise<void> {
  for (const { value } of await store.stamps.all()) {
    if (signal.aborted) return;
    if (!isServing(value.state.kind) || presences.has(value.name)) continue;
    if ((await store.directory.tenantVersion(verifyTenantKey(value.name))) === undefined) continue;
    presences.set(value.name, { kind: "impossible", carriers: [], retryAt: 0, isBegun: true });
  }
}

/** The directory first: by it a successor of ours finds what we left. Routers send it nothing but what we ask. */
async function open(deps: PresenceDeps, name: string, presence: Presence, turn: Turn): Promise<void> {
  const stamp = await readServing(deps, name);
  const tenant = verifyTenantKey(name);
  presence.isBegun = true;
  const hostnames = [verifyHostname(tenant)];
  await change(deps, name, { kind: "tenant-put", tenant, stamp: name, epoch, hostnames }, turn);
  const spec = await deps.specOf(stamp);
  await deps.homes.open(spec, tenant, epoch, turn.signal);
  await deps.hooks.call({ hook: "tenant.onCreate", stamp, spec, tenant, epoch }, turn);
  await waitForRouters(deps, routersHearWithinMs, turn.signal);
  const { carriers, whyNone } = await carriersOf(deps, tenant, stamp);
  if (carriers.length === 0) throw new StampyardError("WRONG_PHASE", `No router can be asked: ${whyNone}`);
  presence.carriers = carriers;
  presence.kind = "open";
}

async function removeVerifyTenant(deps: PresenceDeps, name: string, turn: Turn): Promise<void> {
  const row = await deps.store.stamps.read(name);
  const phase = row?.value.state.kind;
  // It took the tenant with it, or is shown to work just now by the same tenant.
  if (row === undefined || phase === "verifying") return;
  const { value: stamp } = row;
  const tenant = verifyTenantKey(name);
  if (!isServing(stamp.state.kind)) {
    await change(deps, name, { kind: "tenant-remove", tenant }, turn);
    return;
  }
  const spec = await deps.specOf(stamp);
  await deps.homes.close(spec, tenant, epoch, turn.signal);
  await deps.hooks.call({ hook: "tenant.onDelete", stamp, spec, tenant, epoch }, turn);
  await deps.homes.forget(spec, tenant, epoch, turn.signal);
  await change(deps, name, { kind: "tenant-remove", tenant }, turn);
}

async function readServing({ store }: Pick<PresenceDeps, "store">, name: string): Promise<Stamp> {
  const row = await store.stamps.read(name);
  if (row === undefined || !isServing(row.value.state.kind)) {
    throw new StampyardError("WRONG_PHASE", `Stamp ${name} does not serve`);
  }
  return row.value;
}

const mostTries = 5;

/** Its row may be written by its own reconciler meanwhile: then it is read again. */
async function change(deps: PresenceDeps, name: string, what: DirectoryChange, turn: Turn): Promise<void> {
  for (let tries = 1; ; tries++) {
    const row = await deps.store.stamps.read(name);
    if (row === undefined) return;
    try {
      const options = { changes: [what], action: "stamp.verify" };
      await deps.store.stamps.write(row.value, row.revision, options, writeContext(turn, "Evidence of a rollout"));
      return;
    } catch (caught) {
      if (StampyardError.from(caught).code !== "STALE_REVISION" || tries >= mostTries) throw caught;
    }
  }
}

/** As our tenant through a router; undefined while it is not there. A router that serves another region is no answer. */
export async function askAsTenant(
  { presences }: Pick<EvidenceMemory, "presences">,
  stamp: string,
  { path, timeoutMs }: { readonly path: string; readonly timeoutMs: number },
): Promise<HttpAnswer | undefined> {
  const presence = presences.get(stamp);
  if (presence?.kind !== "open") return undefined;
  let silent: HttpAnswer | undefined;
  for (const { entrance, host, prefix, headers } of presence.carriers) {
    const answer = await askHttp(entrance, `${prefix}${path}`, { headers: { ...headers, host }, timeoutMs });
    if (answer.status === 421) continue;
    if (answer.status !== undefined) return answer;
    // A router that was killed counts as live for some seconds.
    silent = answer;
  }
  return silent;
}

function tell(deps: PresenceDeps, stamp: string, what: string, caught: unknown, turn: Turn): void {
  if (turn.signal.aborted) return;
  const error = StampyardError.from(caught);
  deps.log.warn({ stamp, code: error.code, err: error }, what);
}
