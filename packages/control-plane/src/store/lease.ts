import type { LeaseStore } from "./port.ts";
import type { Lease } from "./records.ts";
import { staleLeader, type StoreBase } from "./write.ts";

interface LeaseRow extends Record<string, unknown> {
  holder: string;
  token: number;
  expires_at: number;
}

const columns = "holder, token, expires_at";
/** One clock for all holders. */
const until = "clock_timestamp() + $2 * interval '1 millisecond'";

export function leaseStore(base: StoreBase): LeaseStore {
  return {
    acquire: (holder, ttlMs) => acquire(base, holder, ttlMs),
    async renew(holder, token, ttlMs) {
      // An expired lease that nobody took may be renewed: its token is still the highest.
      const { rows } = await base.db.query<LeaseRow>(
        `UPDATE lease SET expires_at = ${until} WHERE name = 'leader' AND holder = $1 AND token = $3 RETURNING ${columns}`,
        [holder, ttlMs, token],
      );
      const [row] = rows;
      if (row === undefined) throw staleLeader(token);
      return toLease(row);
    },
    async release(holder, token) {
      await base.db.query(
        `UPDATE lease SET token = token + 1, holder = NULL, expires_at = clock_timestamp()
         WHERE name = 'leader' AND holder = $1 AND token = $2`,
        [holder, token],
      );
    },
    async current() {
      const { rows } = await base.db.query<LeaseRow>(
        `SELECT ${columns} FROM lease WHERE name = 'leader' AND holder IS NOT NULL AND expires_at > clock_timestamp()`,
      );
      return rows[0] === undefined ? undefined : toLease(rows[0]);
    },
  };
}

function acquire(base: StoreBase, holder: string, ttlMs: number): Promise<Lease | undefined> {
  return base.db.transaction(async (tx) => {
    const renewed = await tx.query<LeaseRow>(
      `UPDATE lease SET expires_at = ${until}
       WHERE name = 'leader' AND holder = $1 AND expires_at > clock_timestamp() RETURNING ${columns}`,
      [holder, ttlMs],
    );
    if (renewed.rows[0] !== undefined) return toLease(renewed.rows[0]);
    // The new token waits for every transaction that still writes under the old one (FOR KEY SHARE).
    const taken = await tx.query<LeaseRow>(
      `UPDATE lease SET token = token + 1, holder = $1, expires_at = ${until}, acquired_at = clock_timestamp()
       WHERE name = 'leader' AND (holder IS NULL OR expires_at <= clock_timestamp()) RETURNING ${columns}`,
      [holder, ttlMs],
    );
    const [row] = taken.rows;
    if (row === undefined) return undefined;
    await tx.query(
      `INSERT INTO audit (actor, action, subject, detail) VALUES ('system', 'lease.acquire', 'lease', $1)`,
      [JSON.stringify({ holder, token: row.token })],
    );
    return toLease(row);
  });
}

function toLease({ holder, token, expires_at }: LeaseRow): Lease {
  return { holder, token, expiresAt: expires_at };
}
