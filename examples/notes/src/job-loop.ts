import type { Ownership, TenantHome } from "@stampyard/guard";
import type { Pool } from "pg";
import type { Cache, CacheOwner } from "./cache.ts";
import { inTransaction, type Queryable, sqlStateOf } from "./database.ts";
import { type Log, reasonOf } from "./log.ts";
import { updateNoteStats } from "./note-stats.ts";
import { claimJobs, enqueue, failJob, finishJob, type Job, type JobKind, tenantsWithDueJobs } from "./outbox.ts";
import { indexNote } from "./search.ts";
import type { SearchIndex } from "./search-index.ts";

export interface JobDeps {
  readonly pool: Pool;
  readonly ownership: Pick<Ownership, "home">;
  readonly cache: Pick<Cache, "drop">;
  readonly search: SearchIndex;
  readonly log: Log;
}

/** Handlers run in the transaction that removes the job; they may still run again after a crash, and must not mind. */
const handlers: Readonly<Record<JobKind, (deps: JobDeps, db: Queryable, job: OwnedJob) => Promise<void>>> = {
  "note-written": async (deps, db, job) => {
    await updateNoteStats(db, job.tenant, job.subject);
    await indexNote(db, deps.search, job, job.subject).catch(async (caught: unknown) => {
      if (sqlStateOf(caught) !== undefined) throw caught;
      // The index is away. What is done stays done, and what is left is a job of its own.
      await enqueue(db, job.tenant, "note-unindexed", job.subject);
    });
  },
  "note-unindexed": (deps, db, job) => indexNote(db, deps.search, job, job.subject),
};

/** With the epoch in which the tenant lives here. */
type OwnedJob = Job & CacheOwner;

/** Tenants per look into the outbox, and jobs per tenant and turn: a busy tenant cannot keep the others waiting. */
const tenantsPerLook = 64;
const jobsPerTurn = 16;

/**
 * Goes once through all tenants with due jobs and returns how many jobs it took. A tenant whose home is not active here
 * is left alone: its jobs belong to wherever it lives now, and move there with its other rows.
 */
export async function workOnce(deps: JobDeps, signal: AbortSignal): Promise<number> {
  let taken = 0;
  for (let after = ""; ; ) {
    const tenants = await tenantsWithDueJobs(deps.pool, after, tenantsPerLook);
    for (const tenant of tenants) {
      if (signal.aborted) return taken;
      const home = await deps.ownership.home(tenant, { fresh: true, claimedEpoch: 0 });
      if (home?.state === "active") taken += await unlessLeaving(() => workFor(deps, tenant, home, signal));
    }
    const last = tenants.at(-1);
    if (last === undefined || tenants.length < tenantsPerLook) return taken;
    after = last;
  }
}

/**
 * SY…: the fence has closed since we asked. 40001: a home changed under us. The tenant is leaving, or the next look does
 * it; the others must not wait for that.
 */
async function unlessLeaving(work: () => Promise<number>): Promise<number> {
  try {
    return await work();
  } catch (caught) {
    const state = sqlStateOf(caught);
    if (state === "40001" || state?.startsWith("SY")) return 0;
    throw caught;
  }
}

async function workFor(deps: JobDeps, tenant: string, home: TenantHome, signal: AbortSignal): Promise<number> {
  const jobs = await claimJobs(deps.pool, tenant, jobsPerTurn);
  for (const job of jobs) {
    if (signal.aborted) break; // The rest becomes due again when the claim ends.
    await handleJob(deps, { ...job, epoch: home.epoch });
  }
  if (jobs.length > 0) await deps.cache.drop({ tenant, epoch: home.epoch });
  return jobs.length;
}

async function handleJob(deps: JobDeps, job: OwnedJob): Promise<void> {
  const { pool, log } = deps;
  try {
    await inTransaction(pool, async (db) => {
      const handler = Object.hasOwn(handlers, job.kind) ? handlers[job.kind as JobKind] : undefined;
      if (handler === undefined) throw new Error(`No handler for jobs of kind ${job.kind}`);
      await handler(deps, db, job);
      // Whoever claimed it after us has its own result; ours is undone with the transaction.
      if (!(await finishJob(db, job))) throw new Error("The claim ended before the job did");
    });
  } catch (caught) {
    // The fence closed while we worked. The tenant is leaving, and the job with it: nothing failed.
    if (sqlStateOf(caught)?.startsWith("SY")) throw caught;
    const outcome = await failJob(pool, job, reasonOf(caught));
    log(`job-${outcome}`, { tenant: job.tenant, kind: job.kind, attempts: job.attempts, reason: reasonOf(caught) });
  }
}

/** How often the worker looks without being woken, in milliseconds. */
const pollMs = 1_000;

export interface JobLoop {
  /** Look now. */
  wake(): void;
  /** Ends after the job under way. */
  stop(): Promise<void>;
}

/** Works until stopped: at once when woken, every second anyway, and again at once while there is more. */
export function startJobLoop(deps: JobDeps): JobLoop {
  const stopping = new AbortController();
  let woken = true;
  let interrupt: () => void = () => {};
  const pause = async () => {
    if (woken || stopping.signal.aborted) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      interrupt = resolve;
      timer = setTimeout(resolve, pollMs);
    });
    clearTimeout(timer);
  };
  const run = async () => {
    let healthy = true;
    while (!stopping.signal.aborted) {
      woken = false;
      try {
        if ((await workOnce(deps, stopping.signal)) > 0) woken = true;
        if (!healthy) deps.log("working-again");
        healthy = true;
      } catch (caught) {
        if (healthy) deps.log("cannot-work", { reason: reasonOf(caught) });
        healthy = false;
        woken = false; // A database that is away is not asked in a tight loop, however often someone calls.
      }
      await pause();
    }
  };
  const running = run();
  return {
    wake() {
      woken = true;
      interrupt();
    },
    async stop() {
      stopping.abort();
      interrupt();
      await running;
    },
  };
}
