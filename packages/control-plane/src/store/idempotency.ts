import { StampyardError } from "@stampyard/domain";
import type { IdempotencyStore } from "./port.ts";
import type { IdempotencyAnswer } from "./records.ts";
import { seal, unseal } from "./seal.ts";
import type { Sealer } from "./stamp-secrets.ts";

interface KeyRow extends Record<string, unknown> {
  request_hash: string;
  status: number | null;
  master_key_id: string | null;
  sealed: Buffer | null;
  fresh: boolean;
}

const kept = "interval '24 hours'";
/** A request that has not ended by then died with its process; its repetition is a first one again. */
const abandoned = "interval '2 minutes'";

export function idempotencyStore({ db, masters }: Sealer): IdempotencyStore {
  return {
    async begin({ principal, key, requestHash }) {
      await db.query(
        `DELETE FROM idempotency_keys WHERE at < clock_timestamp() - ${kept}
           OR (principal = $1 AND key = $2 AND status IS NULL AND at < clock_timestamp() - ${abandoned})`,
        [principal, key],
      );
      const inserted = await db.query(
        `INSERT INTO idempotency_keys (principal, key, request_hash) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
        [principal, key, requestHash],
      );
      if (inserted.rowCount === 1) return { kind: "new" };
      const { rows } = await db.query<KeyRow>(
        "SELECT request_hash, status, master_key_id, sealed FROM idempotency_keys WHERE principal = $1 AND key = $2",
        [principal, key],
      );
      const [row] = rows;
      if (row === undefined) return { kind: "running" };
      if (row.request_hash !== requestHash) {
        throw new StampyardError("IDEMPOTENCY_MISMATCH", "This Idempotency-Key came with another request before", {
          mend: "Use a new key for a new request.",
        });
      }
      return replay(row, principal, key);
    },
    async done({ principal, key }, { status, body }) {
      const [master] = masters;
      const sealed = seal(master.bytes, placeOf(principal, key), Buffer.from(JSON.stringify(body ?? null), "utf8"));
      await db.query(
        "UPDATE idempotency_keys SET status = $3, master_key_id = $4, sealed = $5 WHERE principal = $1 AND key = $2",
        [principal, key, status, master.id, sealed],
      );
    },
    async abandon({ principal, key }) {
      await db.query("DELETE FROM idempotency_keys WHERE principal = $1 AND key = $2 AND status IS NULL", [
        principal,
        key,
      ]);
    },
  };

  function replay(row: KeyRow, principal: string, key: string): IdempotencyAnswer {
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

function placeOf(principal: string, key: string): string {
  return `idempotency/${JSON.stringify([principal, key])}`;
}
