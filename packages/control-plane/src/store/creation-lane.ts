import { StampyardError, type Tenant } from "@stampyard/domain";
import type { FleetSight } from "./fleet-view.ts";
import { closePlaces, lostPlaces, type TakenPlace } from "./place-guard.ts";
import type { Revisioned, TenantInput, WriteContext } from "./records.ts";
import { tellOf } from "./tenant-create.ts";
import { type Registration, registerTenants } from "./tenant-register.ts";
import { draftOf, type TenantDraft } from "./tenant-rows.ts";
import { decide, poolFull, registrationOf, wishOf } from "./tenant-wish.ts";
import { requireContext, requireNormal, type StoreBase, write } from "./write.ts";

/** More at once would make each wait longer than the commits that they share save. */
const batchMost = 64;
/** A place may be lost to another writer, or with a stamp that changes; then the sight is refreshed. */
const openAttempts = 3;
/** With places closed only a changing stamp is left. */
const attemptsMost = 8;

interface Member {
  readonly draft: TenantDraft;
  readonly ctx: WriteContext;
  readonly done: (tenant: Revisioned<Tenant>) => void;
  readonly failed: (error: StampyardError) => void;
}

export type CreateTenant = (input: TenantInput, ctx: WriteContext) => Promise<Revisioned<Tenant>>;

/**
 * Creates tenants one batch after the other: whoever asks while a batch is being committed is in the next one. A stamp
 * that is being packed is one row, which its writer holds until the disk has it; many tenants share that wait. Alone,
 * a tenant is a batch of one and waits for nobody. Each has its own audit row, and a failure is that member's own.
 */
export function createCreationLane(base: StoreBase): CreateTenant {
  const waiting: Member[] = [];
  let isRunning = false;

  async function run(): Promise<void> {
    if (isRunning) return;
    isRunning = true;
    try {
      while (waiting.length > 0) await settle(base, takeBatch(waiting));
    } finally {
      isRunning = false;
    }
  }

  return async (input, ctx) => {
    const draft = draftOf(input);
    requireContext(ctx);
    return new Promise((done, failed) => {
      waiting.push({ draft, ctx, done, failed });
      void run();
    });
  };
}

/** The first ones, under one lease; of two with one key the second comes later, and fails as it should. */
function takeBatch(waiting: Member[]): Member[] {
  const keys = new Set<string>();
  const batch: Member[] = [];
  while (batch.length < batchMost) {
    const [next] = waiting;
    if (next === undefined || keys.has(next.draft.key) || (batch[0] ?? next).ctx.token !== next.ctx.token) break;
    keys.add(next.draft.key);
    batch.push(next);
    waiting.shift();
  }
  return batch;
}

/** Never throws: every member hears its own answer. */
async function settle(base: StoreBase, batch: readonly Member[]): Promise<void> {
  let left = batch;
  try {
    let isClosed = false;
    for (let attempt = 1; left.length > 0; attempt++) {
      if (attempt > attemptsMost) throw new StampyardError("TIMEOUT", "Stamps change too quickly to place a tenant");
      isClosed ||= attempt > openAttempts;
      const turn: Turn = await attemptAll(base, left, isClosed);
      left = turn.left;
      // What a sight refuses that may be behind is asked again where it is exact.
      isClosed ||= turn.isRefused;
    }
  } catch (error) {
    for (const member of left) member.failed(StampyardError.from(error));
  }
}

interface Turn {
  /** Without an answer yet. */
  readonly left: readonly Member[];
  readonly isRefused: boolean;
}

/** One transaction for all that have a place, or may wait for one. Closed = nobody else takes a place meanwhile. */
async function attemptAll(base: StoreBase, members: readonly Member[], isClosed: boolean): Promise<Turn> {
  const [first] = members;
  if (first === undefined) return { left: [], isRefused: false };
  const open = isClosed ? undefined : await base.view.look(base.db);
  let sorted = open === undefined ? undefined : sort(base, members, open);
  if (sorted?.asked.length === 0) return { left: members, isRefused: true };
  let faults: ReadonlyMap<string, StampyardError> = new Map();
  let isLost = false;
  try {
    const tenants = await write(base, first.ctx, async (w) => {
      requireNormal(w);
      faults = new Map();
      let sight = open;
      if (sight === undefined) {
        await closePlaces(w);
        sight = await base.view.look(w, { exact: true });
        sorted = sort(base, members, sight);
      }
      const asked = sorted?.asked ?? [];
      if (asked.length === 0) return new Map<string, Revisioned<Tenant>>();
      const registered = await registerTenants(
        w,
        asked.map(({ registration }) => registration),
        { audited: true },
      );
      faults = registered.faults;
      if (faults.size > 0) throw rolledBack();
      const places = asked.flatMap(({ place }) => (place === undefined ? [] : [place]));
      isLost = (await lostPlaces(w, places, sight)).length > 0;
      if (isLost) throw rolledBack();
      w.tell({ kind: "pending" });
      for (const { value } of registered.tenants.values()) tellOf(w, value);
      return registered.tenants;
    });
    return await answer(base, sorted ?? nobody, tenants, isClosed);
  } catch (error) {
    base.view.touch((sorted?.asked ?? []).flatMap(({ place }) => (place === undefined ? [] : [place.stamp])));
    if (faults.size === 0 && !isLost) throw error;
    for (const member of members) {
      const fault = faults.get(member.draft.key);
      if (fault !== undefined) member.failed(fault);
    }
    return { left: members.filter((member) => !faults.has(member.draft.key)), isRefused: false };
  }
}

/** Only to leave the transaction without a commit. */
function rolledBack(): StampyardError {
  return new StampyardError("LOCKED", "A place was lost to another writer");
}

async function answer(
  base: StoreBase,
  { asked, refusals }: Sorted,
  tenants: ReadonlyMap<string, Revisioned<Tenant>>,
  isClosed: boolean,
): Promise<Turn> {
  for (const { member } of asked) {
    const tenant = tenants.get(member.draft.key);
    if (tenant !== undefined) member.done(tenant);
  }
  if (!isClosed || refusals.size === 0) return { left: [...refusals.keys()], isRefused: refusals.size > 0 };
  const keys = [...refusals.keys()].map((member) => member.draft.key);
  const { rows } = await base.db.query<{ key: string }>("SELECT key FROM tenants WHERE key = ANY ($1)", [keys]);
  const existing = new Set(rows.map((row) => row.key));
  for (const [member, error] of refusals) {
    const { key } = member.draft;
    // A key that exists is the clearer answer.
    member.failed(existing.has(key) ? new StampyardError("ALREADY_EXISTS", `Tenant ${key} exists already`) : error);
  }
  return { left: [], isRefused: false };
}

/** A member with what is written of it. */
interface Asked {
  readonly member: Member;
  readonly registration: Registration;
  readonly place: TakenPlace | undefined;
}

interface Sorted {
  readonly asked: readonly Asked[];
  readonly refusals: ReadonlyMap<Member, StampyardError>;
}

const nobody: Sorted = { asked: [], refusals: new Map() };

/** Decides for one after the other, each seeing the places of those before it. */
function sort(base: StoreBase, members: readonly Member[], sight: FleetSight): Sorted {
  const asked: Asked[] = [];
  const refusals = new Map<Member, StampyardError>();
  for (const member of members) {
    const { draft, ctx } = member;
    try {
      const wish = wishOf(draft, sight);
      const decision = decide(wish, sight);
      if (decision.kind === "full") {
        refusals.set(member, poolFull(draft.key, decision.why));
        continue;
      }
      const { tenant, isBig, place } = registrationOf(draft, wish, decision, base.now());
      if (place !== undefined) base.view.book(place.stamp, { ...place, isBig });
      asked.push({ member, registration: { tenant, isBig, ctx }, place });
    } catch (error) {
      refusals.set(member, StampyardError.from(error));
    }
  }
  return { asked, refusals };
}
