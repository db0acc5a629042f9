import { openApi, type StatusView } from "@stampyard/api";
import { StampyardError } from "@stampyard/domain";
import { readFreezes } from "../../freezes/freezes.ts";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { frozenTexts } from "../freeze-view.ts";
import { mapPage, storePage } from "../paging.ts";
import { readPoolWaits } from "../pool-plan.ts";
import { readMatrix } from "../release-matrix.ts";
import { readRolloutViews } from "../rollout-view.ts";
import { auditView, routerView, time, tokenView } from "../views.ts";

type Names =
  | "health"
  | "ready"
  | "openApi"
  | "status"
  | "events"
  | "auditList"
  | "tokenList"
  | "tokenCreate"
  | "tokenRevoke"
  | "backup"
  | "recoveryGet"
  | "recoveryResolve";

/** Enough to see what a fleet waits for; the lists have the rest. */
const mostWaits = 50;

export function systemHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, events } = deps;
  const role = () => (deps.leadership() === undefined ? ("standby" as const) : ("leader" as const));
  let document: Record<string, unknown> | undefined;

  return {
    health: async () => ({ status: "ok" }),

    async ready() {
      try {
        await store.ping();
      } catch (caught) {
        throw new StampyardError("TIMEOUT", "The store does not answer", { cause: caught });
      }
      return { status: "ready", role: role() };
    },

    async openApi() {
      document ??= openApi(deps.version);
      return document;
    },

    status: () => readStatus(deps, role()),

    events: async ({ signal }) => events.subscribe(signal) as AsyncIterable<never>,

    async auditList({ query }) {
      const { subject, after, verify } = query;
      const options = {
        ...storePage(query),
        ...(subject === undefined ? {} : { subject }),
        ...(after === undefined ? {} : { after }),
      };
      const page = mapPage(await store.audit.list(options), auditView);
      return verify ? { ...page, verification: await store.audit.verify() } : page;
    },

    tokenList: async ({ query }) => mapPage(await store.tokens.list(storePage(query)), tokenView),

    async tokenCreate(call) {
      const { name, role: forRole } = call.body;
      const { record, secret } = await store.tokens.create({ name, role: forRole }, writeContext(deps, call));
      return { ...tokenView(record), secret };
    },

    async tokenRevoke(call) {
      await store.tokens.revoke(call.params.id, writeContext(deps, call));
      return undefined;
    },

    backup: async () => store.backup(),

    recoveryGet: async () => recoveryView(await store.recovery.report()),

    async recoveryResolve(call) {
      const { resolve, finish, incomplete } = call.body;
      const ctx = writeContext(deps, call);
      if (resolve.length > 0) {
        const decisions = resolve.map(({ tenant, stamp }) => (stamp === undefined ? { tenant } : { tenant, stamp }));
        await store.recovery.resolve(decisions, ctx);
      }
      const report = finish ? await store.recovery.finish({ incomplete }, ctx) : await store.recovery.report();
      return recoveryView(report);
    },
  };
}

type Report = Awaited<ReturnType<ServerDeps["store"]["recovery"]["report"]>>;

function recoveryView(report: Report) {
  return {
    mode: report.mode,
    ...(report.reason === undefined ? {} : { reason: report.reason }),
    reports: report.reports.map((one) => ({ ...one })),
    adopt: report.adopt.map((one) => ({ ...one })),
    conflicts: report.conflicts.map((one) => ({ ...one, claims: one.claims.map((claim) => ({ ...claim })) })),
    waitingOn: [...report.waitingOn],
  };
}

async function readStatus(deps: ServerDeps, role: "leader" | "standby"): Promise<StatusView> {
  const { store, clock, version } = deps;
  const [meta, fleet, head, stamps, tenants, routers, held, lease, waitingOn] = await Promise.all([
    store.meta(),
    store.fleet.read(),
    store.directory.head(),
    store.stamps.counts(),
    store.tenants.counts(),
    store.routers.list(),
    store.directory.held(),
    store.lease.current(),
    readWaits(store),
  ]);
  const pools = (fleet?.value.fleet.pools ?? []).map((pool) => pool.name);
  const now = clock.now();
  const [ofPools, open, freezes, { alerts }] = await Promise.all([
    readPoolWaits(store, pools, now),
    store.rollouts.list({ isOpen: true, limit: mostWaits }),
    readFreezes(store),
    readMatrix(deps),
  ]);
  const rollouts = await readRolloutViews(store, open.items, now);
  const ofRollouts = rollouts.flatMap(({ id, why, waitingOn = why }) =>
    waitingOn === undefined ? [] : [{ kind: "rollout" as const, name: id, why: waitingOn }],
  );
  return {
    ...(fleet === undefined ? {} : { fleet: fleet.value.fleet.name }),
    fleetRevision: fleet?.revision ?? 0,
    mode: meta.mode,
    ...(meta.modeReason === undefined ? {} : { modeReason: meta.modeReason }),
    role,
    ...(lease === undefined ? {} : { leader: lease.holder }),
    version,
    directory: {
      incarnation: head.incarnation,
      version: head.version,
      ...(head.at === undefined ? {} : { ageMs: Math.max(0, clock.now() - head.at) }),
    },
    stamps: { ...stamps },
    tenants: { ...tenants },
    routers: routers.map((router) => routerView(router, head)),
    held: held.map(({ since, ...batch }) => ({ ...batch, since: time(since) })),
    rollouts,
    frozen: frozenTexts(freezes, now),
    alerts,
    waitingOn: [...ofRollouts, ...ofPools, ...waitingOn].slice(0, mostWaits),
  };
}

async function readWaits(store: ServerDeps["store"]): Promise<StatusView["waitingOn"]> {
  const phases = ["placing", "preparing", "suspending", "resuming", "moving", "deleting", "active"] as const;
  const [stamps, ...pages] = await Promise.all([
    store.stamps.all(),
    ...phases.map((phase) => store.tenants.list({ phase, limit: mostWaits })),
  ]);
  const ofStamps = stamps.map(({ value }) => ({ kind: "stamp" as const, name: value.name, why: value.waitingOn }));
  const ofTenants = pages
    .flatMap((page) => page.items)
    .map(({ value }) => ({ kind: "tenant" as const, name: value.key, why: value.waitingOn }));
  return [...ofStamps, ...ofTenants]
    .flatMap(({ why, ...one }) => (why === undefined ? [] : [{ ...one, why }]))
    .slice(0, mostWaits);
}
