import type { Queryable } from "./database.ts";

export type JobKind = "note-written" | "note-unindexed";

export interface Job {
  readonly tenant: string;
  readonly id: string;
  readonly kind: string;
  /** The note it is about. */
  readonly subject: string;
  /** 1 at the first try. Names this claim: a later claim has a higher one. */
  readonly attempts: number;
}

/** Adds a job to the caller's transaction, so that the job exists exactly if the change does. */
export async function enqueue(db: Queryable, tenant: string, kind: JobKind, subject: string): Promise<void> {
  await db.query("insert into outbox (tenant_id, kind, subject_id) values ($1, $2, $3)", [tenant, kind, subject]);
}

/** Tenants with a due job, in order of their keys, after `after` (exclusive; "" = from the start). */
export async function tenantsWithDueJobs(db: Queryable, after: string, limit: number): Promise<readonly string[]> {
  const { rows } = await db.query<{ tenant_id: string }>(
    `select distinct tenant_id from outbox where state = 'ready' and due_at <= now() and tenant_id > $1
     order by tenant_id limit $2`,
    [after, limit],
  );
  return rows.map((row) => row.tenant_id);
}

/** A worker looks every second; what is due for longer than this is not looked at. */
const overdueSeconds = 5;

/** Jobs that no worker takes, at most a thousand. */
export async function countOverdueJobs(db: Queryable): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `select count(*)::int from (select from outbox where state = 'ready'
       and due_at < now() - make_interval(secs => $1) limit 1000) late`,
    [overdueSeconds],
  );
  return rows[0]?.count ?? 0;
}

/** A claim holds for this long; a worker that dies gives its jobs back by this. */
const claimSeconds = 30;

/**
 * Claims due jobs of one tenant. Workers that claim at once get different jobs. The attempt is counted when it begins,
 * so a job that kills its worker ends in the dead letters, too.
 */
export async function claimJobs(db: Queryable, tenant: string, limit: number): Promise<readonly Job[]> {
  const { rows } = await db.query<{ id: string; kind: string; subject_id: string; attempts: number }>(
    `update outbox o set attempts = o.attempts + 1, due_at = now() + make_interval(secs => $3)
     from (select tenant_id, id from outbox where tenant_id = $1 and state = 'ready' and due_at <= now()
           order by due_at, id limit $2 for update skip locked) due
     where o.tenant_id = due.tenant_id and o.id = due.id
     returning o.id, o.kind, o.subject_id, o.attempts`,
    [tenant, limit, claimSeconds],
  );
  return rows.map((row) => ({ tenant, id: row.id, kind: row.kind, subject: row.subject_id, attempts: row.attempts }));
}

/** Removes a handled job; false when the claim was lost to another worker, whose result then counts. */
export async function finishJob(db: Queryable, job: Job): Promise<boolean> {
  const { rowCount } = await db.query("delete from outbox where tenant_id = $1 and id = $2 and attempts = $3", [
    job.tenant,
    job.id,
    job.attempts,
  ]);
  return rowCount === 1;
}

/** After the last attempt a job is dead: kept with its reason, counted in `GET /stats`, never tried again. */
export const maxAttempts = 8;

/** Milliseconds until the next try: 250, 500, … at most a minute; undefined = give up. */
export function retryDelayMs(attempts: number): number | undefined {
  return attempts >= maxAttempts ? undefined : Math.min(60_000, 250 * 2 ** (attempts - 1));
}

export async function failJob(db: Queryable, job: Job, reason: string): Promise<"retry" | "dead" | "lost"> {
  const delay = retryDelayMs(job.attempts);
  const { rowCount } = await db.query(
    `update outbox set state = $4, last_error = $5, due_at = now() + make_interval(secs => $6::float8 / 1000)
     where tenant_id = $1 and id = $2 and attempts = $3`,
    [job.tenant, job.id, job.attempts, delay === undefined ? "dead" : "ready", reason.slice(0, 500), delay ?? 0],
  );
  if (rowCount !== 1) return "lost";
  return delay === undefined ? "dead" : "retry";
}
