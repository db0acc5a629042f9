import { createRequire } from "node:module";
import { join } from "node:path";
import type { Clock, OpenMover, Stamp, StampEngine, StampSpec } from "@stampyard/domain";
import { ensureStore, openLocalEngine } from "@stampyard/engines";
import { openRowsMover } from "@stampyard/movers";
import type { Logger } from "pino";
import type { ControlPlaneConfig } from "./config.ts";
import { lead } from "./lead.ts";
import { createLog } from "./log.ts";
import { checkMove } from "./moves/check-move.ts";
import { holdStateDir, writeProcessRecord } from "./process-record.ts";
import { leaseHolder, releaseDeadLease } from "./lease-holder.ts";
import { ensureFence, type EnsureFenceDeps } from "./fence/ensure-fence.ts";
import { acceptedKids } from "./reconcilers/drift.ts";
import { runLeadership } from "./reconcilers/leadership.ts";
import { readStampSpec } from "./reconcilers/stamp-spec.ts";
import { createTenantHomes } from "./reconcilers/tenant-homes.ts";
import { createTenantHooks } from "./reconcilers/tenant-hooks.ts";
import { createGate, type Turn } from "./reconcilers/turn.ts";
import { openContents } from "./rollouts/content.ts";
import { openHeadGuard } from "./recovery/head-guard.ts";
import { createApp } from "./server/app.ts";
import { ensureBootstrapTokens } from "./server/bootstrap.ts";
import { createEventBus, publishStoreEvents } from "./server/events.ts";
import { listen, requireFreeAddress } from "./server/listen.ts";
import { loadMasterKeys } from "./store/master-key.ts";
import { openStore } from "./store/open.ts";
import type { Store } from "./store/port.ts";
import { systemClock, systemRandom, systemSha256 } from "./system-ports.ts";

export interface RunningControlPlane {
  /** E.g. `http://127.0.0.1:4300`. */
  readonly url: string;
  /** Takes no more work, gives the lease back, and leaves store and stamps running. */
  close(): Promise<void>;
}

/** What a test puts in place of the real thing. */
export interface ControlPlaneParts {
  readonly engine?: StampEngine;
  readonly openMover?: OpenMover;
  /** Around everything that is written. */
  readonly aroundStore?: (store: Store) => Store;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** @default 5000 */
  readonly leaseTtlMs?: number;
  /** @default 330000 */
  readonly routeKeyDropMs?: number;
}

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };
/** Applies and destroys at a time. Two cores start four stamps hardly faster than two, but none waits for a sick one. */
const heavyAtATime = 4;

/**
 * Starts a control plane: store, API, and whatever a leader does as soon as it has the lease.
 * @throws StampyardError when the store or the address cannot be had
 */
export async function startControlPlane(
  config: ControlPlaneConfig,
  parts: ControlPlaneParts = {},
): Promise<RunningControlPlane> {
  const { stateDir } = config;
  const log = parts.log ?? createLog(config.logLevel);
  const clock = parts.clock ?? systemClock;
  await using opened = new AsyncDisposableStack();
  opened.use(holdStateDir(stateDir));
  // Before the store is started: what cannot listen must leave nothing running.
  await requireFreeAddress(config.listen);
  const keyFile = join(stateDir, "secrets", "master.key");
  const masterKeys = loadMasterKeys({ file: keyFile, env: config.masterKey }, { create: true });
  const url = config.databaseUrl ?? (await ensureStore({ stateDir })).url;
  const plain = opened.use(
    await openStore({ url, keys: masterKeys, clock, applicationName: "stampyard control plane" }),
  );
  const store = parts.aroundStore?.(plain) ?? plain;
  const engine = parts.engine ?? (await openLocalEngine({ stateDir }));
  const homes = opened.use(createTenantHomes(engine));
  const events = createEventBus(clock);
  opened.defer(publishStoreEvents(store, events));

  const contents = openContents(stateDir);
  const specOf = (stamp: Stamp) => readStampSpec(store, stamp, systemSha256, contents);
  const world = { store, engine, specOf, contents, clock, random: systemRandom, sha256: systemSha256, events, log };
  const openMover = parts.openMover ?? openRowsMover;
  const deps = { ...world, ...workOf(world), homes, openMover, ingressLog: config.ingressLog };
  // Before anybody can ask for a version (I42).
  const head = await openHeadGuard({ store, log, file: join(stateDir, "head.json"), isRestored: config.isRestored });
  const stop = new AbortController();
  let leaderToken: () => number | undefined = () => undefined;
  const app = createApp({
    ...world,
    version,
    leadership: () => leaderToken(),
    whyHeld: head.whyHeld,
    checkMove: (input, signal) => checkMove({ ...world, openMover }, input, signal),
    acceptedKids: (stamp) => acceptedKids(deps.drift, stamp),
    ...(parts.routeKeyDropMs === undefined ? {} : { routeKeyDropMs: parts.routeKeyDropMs }),
  });
  const listening = await listen(app, config.listen);
  opened.defer(() => listening.close());

  // The lease of a control plane that was killed on this machine need not run out first.
  if (config.databaseUrl === undefined) await releaseDeadLease(store);
  const leadership = runLeadership({
    store,
    clock,
    log,
    holder: leaseHolder(),
    signal: stop.signal,
    ...(parts.leaseTtlMs === undefined ? {} : { ttlMs: parts.leaseTtlMs }),
    async lead(token, signal) {
      const ctx = { actor: "system", token };
      await ensureBootstrapTokens(store, stateDir, ctx);
      // The term after it has a token that no stamp has seen.
      if (await head.beginRecovery(token)) return;
      await lead(deps, token, signal);
    },
  });
  leaderToken = leadership.token;
  head.watch(leadership.token);
  writeProcessRecord(stateDir, listening.url);
  log.info({ url: listening.url, version }, "control plane listens");

  const parted = opened.move();
  let closing: Promise<void> | undefined;
  return {
    url: listening.url,
    close() {
      closing ??= (async () => {
        stop.abort();
        await leadership.ended;
        await head.close();
        await parted.disposeAsync();
      })();
      return closing;
    },
  };
}

/** What a leader's reconcilers have beside the world: made once, for all of its terms. */
function workOf(world: Parameters<typeof createTenantHooks>[0] & EnsureFenceDeps) {
  return {
    hooks: createTenantHooks(world),
    ensureFence: (stamp: Stamp, spec: StampSpec, turn: Turn) => ensureFence(world, stamp, spec, turn),
    heavy: createGate(heavyAtATime),
    drift: new Map(),
    fences: new Map(),
  };
}
