/**
 * What a move is compared with, between the same two databases in the same run: COPY of the same rows and nothing else;
 * a cold move, which stops writes, copies, compares and opens; and PostgreSQL's own subscription with copy_data.
 */
import { execFileSync } from "node:child_process";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import copyStreams from "pg-copy-streams";

const { from: copyFrom, to: copyTo } = copyStreams;

/** Every table of the application, parents first, with what is copied of it. */
const tables = [
  { table: "lists", columns: "tenant_id, name, length" },
  { table: "entries", columns: "tenant_id, id, list, value, stamp" },
  { table: "registers", columns: "tenant_id, name, value" },
  { table: "blobs", columns: "tenant_id, id, value, stamp, body" },
  { table: "seats", columns: "tenant_id, name, body" },
];

async function copyAll(source, target, tenant, as = tenant) {
  let rows = 0;
  for (const { table, columns } of tables) {
    const list = columns.replace("tenant_id", `'${as}'`);
    const into = target.query(copyFrom(`copy ${table} (${columns}) from stdin`));
    await pipeline(
      source.query(copyTo(`copy (select ${list} from ${table} where tenant_id = '${tenant}') to stdout`)),
      into,
    );
    rows += into.rowCount;
  }
  return rows;
}

async function removeCopy(target, tenant) {
  for (const { table } of [...tables].reverse()) {
    await target.query("set session_replication_role = replica");
    await target.query(`delete from ${table} where tenant_id = $1`, [tenant]);
  }
}

async function pair(bed, from, work) {
  const [source, target] = await Promise.all([
    bed.fleet.connect(from, "postgres"),
    bed.fleet.connect(bed.other(from), "postgres"),
  ]);
  try {
    await target.query("set session_replication_role = replica");
    return await work(source, target);
  } finally {
    await Promise.all([source.end(), target.end()]);
  }
}

/** One stream, one table after the other, each its own transaction; the rows go again afterwards. */
export async function bareCopy(bed, tenant) {
  return await pair(bed, bed.home.get(tenant), async (source, target) => {
    const began = performance.now();
    const rows = await copyAll(source, target, tenant, `${tenant}-bare`);
    const totalMs = performance.now() - began;
    await removeCopy(target, `${tenant}-bare`);
    return { rows, totalMs };
  });
}

/** Writes stop first. Its pause is nearly the whole move. */
export async function coldMove(bed, tenant) {
  return await pair(bed, bed.home.get(tenant), async (source, target) => {
    const name = `${tenant}-cold`;
    await source.query(
      `insert into stampyard.tenant_home (tenant, state, epoch, move_id, deadline) values ($1, 'active', 1, 'cold', null)
       on conflict (tenant) do update set state = 'active'`,
      [name],
    );
    const began = performance.now();
    await source.query(
      "update stampyard.tenant_home set state = 'fenced', deadline = clock_timestamp() + interval '10 min' where tenant = $1",
      [name],
    );
    await copyAll(source, target, tenant, name);
    const sums = await Promise.all([sumsOf(source, tenant), sumsOf(target, name)]);
    await source.query(
      "update stampyard.tenant_home set state = 'moved', moved_to = 'other', deadline = null where tenant = $1",
      [name],
    );
    const pauseMs = performance.now() - began;
    await removeCopy(target, name);
    await source.query("delete from stampyard.tenant_home where tenant = $1", [name]);
    return { pauseMs, totalMs: performance.now() - began, isEqual: sums[0].seats === sums[1].seats };
  });
}

async function sumsOf(db, tenant) {
  const sums = {};
  for (const { table, columns } of tables) {
    const list = columns.replace("tenant_id, ", "");
    const { rows } = await db.query(
      `select coalesce(bit_xor(hashtextextended(row(${list})::text, 7)), 0)::text || ' ' || count(*) as sum from ${table} where tenant_id = $1`,
      [tenant],
    );
    sums[table] = rows[0].sum;
  }
  return sums;
}

/**
 * CREATE SUBSCRIPTION with copy_data of a publication with a row filter, until all tables are synchronised. Stamps share
 * no socket and no user; for this peer alone, the target's server is let to the source's socket.
 */
export async function subscriptionCopy(bed, tenant) {
  const from = bed.home.get(tenant);
  const url = new URL(bed.fleet.databaseUrl(from, "postgres"));
  const socketDir = url.searchParams.get("host");
  execFileSync("chmod", ["755", dirname(dirname(socketDir)), dirname(socketDir), socketDir]);
  execFileSync("chmod", ["777", `${socketDir}/.s.PGSQL.5432`]);
  return await pair(bed, from, async (source, target) => {
    const filter = tables.map(({ table }) => `${table} where (tenant_id = '${tenant}')`).join(", ");
    await source.query(`create publication bench for table ${filter} with (publish = 'insert, update, delete')`);
    const conninfo = `host=${socketDir} dbname=app user=postgres password=${decodeURIComponent(url.password)}`;
    const began = performance.now();
    try {
      await target.query(
        `create subscription bench connection '${conninfo}' publication bench with (copy_data = true)`,
      );
      for (;;) {
        const { rows } = await target.query(
          "select count(*)::int as n from pg_subscription_rel where srsubstate <> 'r'",
        );
        if (rows[0].n === 0) break;
        if (performance.now() - began > 300_000) throw new Error("The subscription does not come to its end");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return { totalMs: performance.now() - began };
    } finally {
      await target.query("drop subscription if exists bench");
      await source.query("drop publication if exists bench");
      await removeCopy(target, tenant);
    }
  });
}
