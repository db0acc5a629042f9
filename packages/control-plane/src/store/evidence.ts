import type { EvidenceBucket } from "@stampyard/domain";
import type { WriteContext } from "./records.ts";
import type { EvidenceStore, RouterCounts } from "./rollout-port.ts";
import { staleLeader, type StoreBase } from "./write.ts";

interface CountsRow extends Record<string, unknown> {
  router: string;
  life: string;
  number: number;
  counted_at: number;
  received_at: number;
  stamps: RouterCounts["stamps"];
  failing: RouterCounts["failing"];
}

interface BucketRow extends Record<string, unknown>, EvidenceBucket {}

/** Three heartbeats of 5 s, as for positions of routers (decision D8). */
const live = "last_seen_at > clock_timestamp() - interval '15 seconds'";
/** A report of an earlier life that comes later than this does not come at all. */
const lateReport = "interval '60 seconds'";

/** Counts and buckets: written every few seconds, and of no use two hours later, so they leave no audit rows. */
export function evidenceStore(base: StoreBase): EvidenceStore {
  const { db } = base;
  return {
    async report({ router, life, number, countedAt, stamps, failing }) {
      // One that overtook another on its way, or comes after its router has begun anew, says nothing new.
      await db.query(
        `INSERT INTO router_counts AS c (router, life, number, counted_at, stamps, failing)
         VALUES ($1, $2, $3, to_timestamp($4::float8 / 1000), $5, $6)
         ON CONFLICT (router) DO UPDATE SET life = excluded.life, number = excluded.number,
           counted_at = excluded.counted_at, received_at = excluded.received_at, stamps = excluded.stamps,
           failing = excluded.failing
         WHERE CASE WHEN c.life = excluded.life THEN excluded.number > c.number
           ELSE excluded.counted_at >= c.counted_at OR c.received_at < clock_timestamp() - ${lateReport} END`,
        [router, life, number, countedAt, JSON.stringify(stamps), JSON.stringify(failing)],
      );
      const { rows } = await db.query<{ stamp: string }>(
        "SELECT stamp FROM evidence_watch WHERE until > clock_timestamp() ORDER BY stamp",
      );
      return rows.map((row) => row.stamp);
    },
    async reports() {
      const { rows } = await db.query<CountsRow>(
        `SELECT c.* FROM router_counts c JOIN routers r ON r.name = c.router WHERE r.${live} ORDER BY c.router`,
      );
      return rows.map(toCounts);
    },
    async watch(stamps, until, ctx) {
      await underLease(base, ctx, async (query) => {
        await query("DELETE FROM evidence_watch WHERE stamp <> ALL ($1::text[])", [[...stamps]]);
        await query(
          `INSERT INTO evidence_watch (stamp, until) SELECT DISTINCT stamp, to_timestamp($2::float8 / 1000)
           FROM unnest($1::text[]) AS t (stamp) ON CONFLICT (stamp) DO UPDATE SET until = excluded.until`,
          [[...stamps], until],
        );
      });
    },
    async saveBuckets(buckets, ctx) {
      await underLease(base, ctx, async (query) => {
        if (buckets.length > 0) await query(saveSql, [JSON.stringify(buckets)]);
      });
    },
    async buckets(stamps, from) {
      const { rows } = await db.query<BucketRow>(
        `SELECT stamp, at, ms, complete, requests, errors, latency, synthetic FROM evidence_buckets
         WHERE stamp = ANY ($1) AND at >= to_timestamp($2::float8 / 1000) ORDER BY at, stamp`,
        [[...stamps], from],
      );
      return rows;
    },
    async prune(keepMs) {
      const { rowCount } = await db.query(
        "DELETE FROM evidence_buckets WHERE at < clock_timestamp() - $1::float8 * interval '1 millisecond'",
        [keepMs],
      );
      await db.query(
        "DELETE FROM router_counts WHERE received_at < clock_timestamp() - $1::float8 * interval '1 millisecond'",
        [keepMs],
      );
      await db.query("DELETE FROM evidence_watch WHERE until < clock_timestamp()");
      return rowCount;
    },
  };
}

const saveSql = `
INSERT INTO evidence_buckets (stamp, at, ms, complete, requests, errors, latency, synthetic)
SELECT stamp, to_timestamp(at / 1000), ms, complete, requests, errors, latency, synthetic
FROM json_to_recordset($1::json) AS t (stamp text, at float8, ms integer, complete boolean, requests bigint,
  errors bigint, latency integer[], synthetic bigint)
ON CONFLICT (stamp, at) DO UPDATE SET ms = excluded.ms, complete = excluded.complete, requests = excluded.requests,
  errors = excluded.errors, latency = excluded.latency, synthetic = excluded.synthetic`;

type Send = (text: string, values: readonly unknown[]) => Promise<unknown>;

/** @throws StampyardError STALE_LEADER */
async function underLease({ db }: StoreBase, { token }: WriteContext, work: (query: Send) => Promise<void>) {
  await db.transaction(async (tx) => {
    const leads = await tx.query("SELECT FROM lease WHERE name = 'leader' AND token = $1 FOR KEY SHARE", [token]);
    if (leads.rowCount === 0) throw staleLeader(token);
    await work((text, values) => tx.query(text, values));
  });
}

function toCounts({ router, life, number, counted_at, received_at, stamps, failing }: CountsRow): RouterCounts {
  return { router, life, number, countedAt: counted_at, receivedAt: received_at, stamps, failing };
}
