import { StampyardError } from "@stampyard/domain";
import type { IdempotencyStore } from "./port.ts";
import type { HeldKey, IdempotencyAnswer } from "./records.ts";
import { seal, unseal } from "./seal.ts";
import type { Sealer } from "./stamp-secrets.ts";
import { actorOfToken } from "./tokens.ts";

interface KeyRow extends Record<string, unknown> {
  request_hash: string;
  status: number | null;
  master_key_id: string | null;
  sealed: Buffer | null;
  /** Subjects of what it wrote; asked for only when it ended without an answer. */
  made: string[] | null;
}

const kept = "interval '24 hours'";
/** A request that has not ended by then died with its process. */
const abandoned = "interval '2 minutes'";
/** As many subjects are named. */
const mostNamed = 5;

const ended = `(k.status IS NULL AND (k.given_up OR k.at < clock_timestamp() - ${abandoned}))`;
/**
 * Audit rows of the request that holds key `k`: they are written with what they tell of, so that without one nothing was
 * done. A caller may choose its request ids, and the same one twice, so they count for its own token ($3) and since the key.
 * That a release was kept is no more than a preparation. The primary key bounds the look.
 */
const itsAudit = `FROM audit a WHERE a.id > k.audit_before AND a.request_id = k.request_id AND a.actor = $3
  AND a.action <> 'release.keep'`;

export function idempotencyStore({ db, masters }: Sealer): IdempotencyStore {
  return {
    async begin(key) {
      await db.query(`DELETE FROM idempotency_keys WHERE at < clock_timestamp() - ${kept}`);
      if (await take(key)) return { kind: "new" };
      // One that wrote nothing is as if it had never been, and its repetition is a first one again.
      if ((await free(key, ended)) && (await take(key))) return { kind: "new" };
      const { rows } = await db.query<KeyRow>(
        `SELECT k.request_hash, k.status, k.master_key_id, k.sealed, CASE WHEN ${ended} THEN
           ARRAY(SELECT a.subject ${itsAudit} GROUP BY a.subject ORDER BY min(a.id) LIMIT ${mostNamed}) END AS made
         FROM idempotency_keys k WHERE k.principal = $1 AND k.key = $2`,
        [key.principal, key.key, actorOfToken(key.principal)],
      );
      const [row] = rows;
      if (row === undefined) return { kind: "running" };
      if (row.request_hash !== key.requestHash) {
        throw new StampyardError("IDEMPOTENCY_MISMATCH", "This Idempotency-Key came with another request before", {
          mend: "Use a new key for a new request.",
        });
      }
      return replay(row, key.principal, key.key);
    },
    async done({ principal, key, requestId }, { status, body }) {
      const [master] = masters;
      const sealed = seal(master.bytes, placeOf(principal, key), Buffer.from(JSON.stringify(body ?? null), "utf8"));
      await db.query(
        `UPDATE idempotency_keys SET status = $4, master_key_id = $5, sealed = $6
         WHERE principal = $1 AND key = $2 AND request_id = $3`,
        [principal, key, requestId, status, master.id, sealed],
      );
    },
    async abandon(key) {
      const { principal, requestId } = key;
      if (await free(key, "k.status IS NULL AND k.request_id = $4", [requestId])) return;
      await db.query(
        `UPDATE idempotency_keys SET given_up = true
         WHERE principal = $1 AND key = $2 AND request_id = $3 AND status IS NULL`,
        [principal, key.key, requestId],
      );
    },
  };

  async function take({ principal, key, requestId, requestHash }: Parameters<IdempotencyStore["begin"]>[0]) {
    const { rowCount } = await db.query(
      `INSERT INTO idempotency_keys (principal, key, request_hash, request_id, audit_before)
       VALUES ($1, $2, $3, $4, (SELECT coalesce(max(id), 0) FROM audit)) ON CONFLICT DO NOTHING`,
      [principal, key, requestHash, requestId],
    );
    return rowCount === 1;
  }

  /** In one statement, so that nothing comes between the look into the audit and the end of the key. */
  async function free({ principal, key }: HeldKey, when: string, values: readonly unknown[] = []): Promise<boolean> {
    const { rowCount } = await db.query(
      `DELETE FROM idempotency_keys k WHERE k.principal = $1 AND k.key = $2 AND ${when} AND NOT EXISTS (SELECT ${itsAudit})`,
      [principal, key, actorOfToken(principal), ...values],
    );
    return rowCount === 1;
  }

  function replay(row: KeyRow, principal: string, key: string): IdempotencyAnswer {
    if (row.made !== null && row.made.length > 0) throw answerLost(row.made);
    if (row.status === null || row.sealed === null) return { kind: "running" };
    const master = masters.find((candidate) => candidate.id === row.master_key_id);
    if (master === undefined) {
      throw new StampyardError("ALREADY_EXISTS", "The first answer to this Idempotency-Key can no longer be read", {
        mend: "The request was carried out; read what it made.",
      });
    }
    const body: unknown = JSON.parse(unseal(master.bytes, placeOf(principal, key), row.sealed).toString("utf8"));
    return { kind: "replay", status: row.status, body };
  }
}

function answerLost(made: readonly string[]): StampyardError {
  const more = made.length < mostNamed ? "" : " and maybe more";
  return new StampyardError(
    "ALREADY_EXISTS",
    `The first request with this Idempotency-Key was carried out, and its answer was lost: ${made.join(", ")}${more}`,
    { mend: "Read what it made." },
  );
}

function placeOf(principal: string, key: string): string {
  return `idempotency/${JSON.stringify([principal, key])}`;
}
