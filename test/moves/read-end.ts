import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { blobBody, blobBytes } from "./app/blob-body.ts";
import type { AtTheEnd, Found } from "./check-history.ts";
import type { Op } from "./history.ts";
import type { HistoryFleet } from "./history-fleet.ts";

/** What both databases hold when everything has stopped, and who lives where by their own word. */
export interface End extends AtTheEnd {
  /** Rows that do not fit together: counts of hot rows, bytes of large ones, children without a parent. */
  readonly unfit: readonly string[];
  readonly homesSeen: readonly { stamp: string; tenant: string; state: string; epoch: number; moveId: string | null }[];
}

export async function readEnd(fleet: HistoryFleet, stamps: readonly string[]): Promise<End> {
  const found: Found[] = [];
  const registers: Found[] = [];
  const unfit: string[] = [];
  const homes = new Map<string, string>();
  const homesSeen: End["homesSeen"][number][] = [];
  for (const stamp of stamps) {
    const db = await fleet.connect(stamp, "postgres");
    try {
      const rows = async (sql: string) => (await db.query<Record<string, string>>(sql)).rows;
      for (const row of await rows("select tenant, state, epoch, move_id from stampyard.tenant_home")) {
        const { tenant = "", state = "" } = row;
        if (state === "active") {
          if (homes.has(tenant)) unfit.push(`${tenant} is active in ${homes.get(tenant)} and in ${stamp}`);
          homes.set(tenant, stamp);
        }
        homesSeen.push({ stamp, tenant, state, epoch: Number(row["epoch"]), moveId: row["move_id"] ?? null });
      }
      for (const row of await rows("select tenant_id, list, value from entries"))
        found.push(foundAs(stamp, row, "list"));
      for (const row of await rows("select tenant_id, name, value from registers")) {
        registers.push(foundAs(stamp, row, "name"));
      }
      for (const row of await rows("select tenant_id, 'blobs' as key, value, md5(body) as sum from blobs")) {
        found.push(foundAs(stamp, row, "key"));
        const wanted = createHash("md5")
          .update(blobBody(row["value"] ?? "", blobBytes))
          .digest("hex");
        if (row["sum"] !== wanted) unfit.push(`blob ${row["value"]} in ${stamp} is not what was written`);
      }
      unfit.push(...(await rows(unfitSql)).map((row) => `${row["what"]} in ${stamp}`));
    } finally {
      await db.end();
    }
  }
  return { homes, found, registers, unfit, homesSeen };
}

function foundAs(stamp: string, row: Readonly<Record<string, string>>, key: string): Found {
  return { tenant: row["tenant_id"] ?? "", stamp, key: row[key] ?? "", value: row["value"] ?? "" };
}

const unfitSql = `
select format('list %s of %s counts %s and has %s entries', l.name, l.tenant_id, l.length, count(e)) as what
from lists l left join entries e on e.tenant_id = l.tenant_id and e.list = l.name
group by l.tenant_id, l.name having l.length <> count(e)
union all
select format('entry %s of %s without its list', e.value, e.tenant_id) from entries e
where not exists (select from lists l where l.tenant_id = e.tenant_id and l.name = e.list)`;

/** What the batch jobs wrote down of their own writes; one without an end may have happened. */
export function readJournals(fleet: HistoryFleet): readonly Op[] {
  const ops = new Map<string, Op>();
  for (const file of readdirSync(fleet.journals)) {
    for (const line of readFileSync(join(fleet.journals, file), "utf8").split("\n")) {
      // The last line of a killed writer may be cut: then its write had not begun, or its end is not known.
      if (!line.endsWith("}")) continue;
      const told = JSON.parse(line) as Omit<Op, "client" | "outcome" | "end"> & Partial<Op>;
      const before = ops.get(told.value);
      const start = before?.start ?? told.start;
      ops.set(told.value, { ...told, client: file, start, end: told.end ?? start, outcome: told.outcome ?? "unknown" });
    }
  }
  return [...ops.values()];
}
