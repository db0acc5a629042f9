import type { Pool, PoolClient } from "pg";

export type Queryable = Pick<PoolClient, "query">;

/** Serialization failure and deadlock: the database asks for exactly this, a repeat from the start. */
const repeatable = new Set(["40001", "40P01"]);

/** Runs `work` in one transaction and repeats it up to twice where the database says that a repeat may succeed. */
export async function inTransaction<T>(pool: Pool, work: (db: Queryable) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(pool, work);
    } catch (caught) {
      if (attempt === 3 || !repeatable.has(sqlStateOf(caught) ?? "")) throw caught;
    }
  }
}

async function once<T>(pool: Pool, work: (db: Queryable) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    return result;
  } catch (caught) {
    await client.query("rollback").catch((error: Error) => {
      broken = error;
    });
    throw caught;
  } finally {
    // A connection that could not even roll back is in an unknown state: never lend it again.
    client.release(broken);
  }
}

/** Five-character SQLSTATE of a database error; undefined for everything else. */
export function sqlStateOf(caught: unknown): string | undefined {
  if (!(caught instanceof Error) || !("code" in caught) || typeof caught.code !== "string") return undefined;
  return /^[0-9A-Z]{5}$/.test(caught.code) ? caught.code : undefined;
}
