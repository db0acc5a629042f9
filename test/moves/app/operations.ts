import type { Pool, PoolClient } from "pg";
import { blobBody, blobBytes } from "./blob-body.ts";
import { type Level, type Transacted, transact } from "./transact.ts";

export interface Operation {
  readonly kind: "append" | "blob" | "cas" | "read" | "grow";
  /** List or register. */
  readonly key: string;
  readonly value: string;
  /** Of an append: more values, in the same transaction. */
  readonly also?: readonly string[];
  /** Of a compare-and-set; absent = the register must not be there. */
  readonly expected?: string;
  readonly level: Level;
}

/** What a register held: of a read, and of a compare-and-set that did not meet what it expected. */
export type Result = { readonly observed?: string | null; readonly applied: boolean };

/**
 * One operation in one transaction. What it reads of a register counts only if the tenant is at home in the same
 * snapshot: a read of a stamp that the tenant has left could be older than writes that its new home has acknowledged.
 */
export function operate(pool: Pool, tenant: string, stamp: string, op: Operation): Promise<Transacted<Result>> {
  return transact(pool, op.level, async (db) => {
    switch (op.kind) {
      case "append":
        return await append(db, tenant, stamp, op);
      case "blob":
        await db.query("insert into blobs (tenant_id, value, stamp, body) values ($1, $2, $3, $4)", [
          tenant,
          op.value,
          stamp,
          blobBody(op.value, blobBytes),
        ]);
        return { applied: true };
      case "grow":
        await db.query(
          "insert into seats (tenant_id, name, body) values ($1, $2, $3) on conflict (tenant_id, name) do update set body = excluded.body",
          [tenant, op.key, op.value],
        );
        return { applied: true };
      case "read":
        return { observed: await readRegister(db, tenant, op.key), applied: false };
      case "cas":
        return await compareAndSet(db, tenant, op);
    }
  });
}

async function append(db: PoolClient, tenant: string, stamp: string, op: Operation): Promise<Result> {
  const { key, value, also = [] } = op;
  const values = [value, ...also];
  const counted = await db.query("update lists set length = length + $3 where tenant_id = $1 and name = $2", [
    tenant,
    key,
    values.length,
  ]);
  if (counted.rowCount !== 1) throw Object.assign(new Error("The list is not here"), { code: "NO_LIST" });
  await db.query("insert into entries (tenant_id, list, value, stamp) select $1, $2, unnest($3::text[]), $4", [
    tenant,
    key,
    values,
    stamp,
  ]);
  return { applied: true };
}

async function readRegister(db: PoolClient, tenant: string, name: string): Promise<string | null> {
  const { rows } = await db.query<{ value: string | null }>(
    `select r.value from stampyard.tenant_home h left join registers r on r.tenant_id = h.tenant and r.name = $2
     where h.tenant = $1 and h.state in ('active', 'fenced')`,
    [tenant, name],
  );
  if (rows[0] === undefined) throw Object.assign(new Error("The tenant is not at home here"), { code: "AWAY" });
  return rows[0].value;
}

async function compareAndSet(db: PoolClient, tenant: string, op: Operation): Promise<Result> {
  const observed = await readRegister(db, tenant, op.key);
  if (observed !== (op.expected ?? null)) return { observed, applied: false };
  const { rowCount } =
    op.expected === undefined
      ? await db.query("insert into registers (tenant_id, name, value) values ($1, $2, $3) on conflict do nothing", [
          tenant,
          op.key,
          op.value,
        ])
      : await db.query("update registers set value = $3 where tenant_id = $1 and name = $2 and value = $4", [
          tenant,
          op.key,
          op.value,
          op.expected,
        ]);
  // Another was faster between our two statements; what it wrote, nobody has read.
  if (rowCount !== 1) throw Object.assign(new Error("Another writer was faster"), { code: "OVERTAKEN" });
  return { applied: true };
}
