import type { RouterStore } from "./port.ts";
import type { RouterRecord } from "./records.ts";
import type { StoreBase } from "./write.ts";

interface RouterRow extends Record<string, unknown> {
  name: string;
  incarnation: number;
  version: number;
  chain: string;
  last_seen_at: number;
  address: string | null;
  admin: string | null;
  entrance: string | null;
  live: boolean;
}

/** Three heartbeats of 5 s (decision D8). */
const live = "last_seen_at > clock_timestamp() - interval '15 seconds'";

/** Positions of routers: written often, worth nothing after a restart, so neither audited nor fenced. */
export function routerStore({ db, tell }: Pick<StoreBase, "db" | "tell">): RouterStore {
  return {
    async seen({ name, address, admin, entrance }) {
      await db.query(
        `INSERT INTO routers (name, address, admin, entrance) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET last_seen_at = clock_timestamp(),
           address = coalesce(excluded.address, routers.address), admin = coalesce(excluded.admin, routers.admin),
           entrance = excluded.entrance`,
        [name, address ?? null, admin ?? null, entrance ?? null],
      );
    },
    async acknowledge({ router, incarnation, version, chain }) {
      // Acknowledgements may overtake each other on the way.
      const isNewer = "(excluded.incarnation, excluded.version) >= (routers.incarnation, routers.version)";
      await db.query(
        `INSERT INTO routers (name, incarnation, version, chain) VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE SET last_seen_at = clock_timestamp(),
           incarnation = CASE WHEN ${isNewer} THEN excluded.incarnation ELSE routers.incarnation END,
           version = CASE WHEN ${isNewer} THEN excluded.version ELSE routers.version END,
           chain = CASE WHEN ${isNewer} THEN excluded.chain ELSE routers.chain END`,
        [router, incarnation, version, chain],
      );
      tell({ kind: "acknowledged", router });
    },
    async list() {
      const { rows } = await db.query<RouterRow>(`SELECT *, ${live} AS live FROM routers ORDER BY name`);
      return rows.map(toRouter);
    },
    async allLiveAcked(version) {
      const { rows } = await db.query<{ acked: boolean }>(
        `SELECT NOT EXISTS (
           SELECT FROM routers, meta WHERE ${live} AND (routers.incarnation < meta.incarnation OR version < $1)
         ) AS acked`,
        [version],
      );
      return rows[0]?.acked ?? true;
    },
    async forget(notSeenForMs) {
      const { rowCount } = await db.query(
        "DELETE FROM routers WHERE last_seen_at < clock_timestamp() - $1::float8 * interval '1 millisecond'",
        [notSeenForMs],
      );
      return rowCount;
    },
  };
}

function toRouter(row: RouterRow): RouterRecord {
  return {
    name: row.name,
    incarnation: row.incarnation,
    version: row.version,
    chain: row.chain,
    lastSeenAt: row.last_seen_at,
    ...(row.address === null ? {} : { address: row.address }),
    ...(row.admin === null ? {} : { admin: row.admin }),
    ...(row.entrance === null ? {} : { entrance: row.entrance }),
    live: row.live,
  };
}
