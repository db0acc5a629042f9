import { randomBytes } from "node:crypto";
import { type Freeze, type FreezeScope, frozenThings, quote, requireName, StampyardError } from "@stampyard/domain";
import type { FreezeStore } from "./freeze-port.ts";
import { audit, type StoreBase, type Write, write } from "./write.ts";

/** Channel on which every process of this store hears that a freeze or a pin began or ended. */
export const freezesChannel = "stampyard_control_freezes";

interface FreezeRow extends Record<string, unknown> {
  id: string;
  scope: FreezeScope;
  stops: Freeze["stops"];
  reason: string;
  started_by: string;
  since: number;
  until: number | null;
}

const columns = "id, scope, stops, reason, started_by, since, until";
const inForce = "ended_at IS NULL AND (until IS NULL OR until > clock_timestamp())";

/** A freeze is a brake: it works while the store recovers, too. */
export function freezeStore(base: StoreBase): FreezeStore {
  return {
    async list() {
      const { rows } = await base.db.query<FreezeRow>(
        `SELECT ${columns} FROM freezes WHERE ${inForce} ORDER BY since, id`,
      );
      return rows.map(toFreeze);
    },
    start: (input, ctx) =>
      write(base, ctx, async (w) => {
        const { scope, until } = input;
        const stops = frozenThings.filter((thing) => input.stops.includes(thing));
        requireFreeze({ scope, stops, reason: ctx.reason, ...(until === undefined ? {} : { until }) }, base.now());
        await w.query(`DELETE FROM freezes WHERE coalesce(ended_at, until) < clock_timestamp() - interval '1 day'`);
        const { rows } = await w.query<FreezeRow>(
          `INSERT INTO freezes (id, scope, stops, reason, started_by, until)
           VALUES ($1, $2, $3, $4, $5, to_timestamp($6::float8 / 1000)) RETURNING ${columns}`,
          [newFreezeId(), JSON.stringify(scope), stops, ctx.reason, ctx.actor, until ?? null],
        );
        const [row] = rows;
        if (row === undefined) throw new StampyardError("INTERNAL", "The freeze was not kept");
        await audit(w, "freeze.start", `freeze/${row.id}`, { scope, stops, ...(until === undefined ? {} : { until }) });
        await tellFreeze(w);
        return toFreeze(row);
      }),
    end: (id, ctx) =>
      write(base, ctx, async (w) => {
        const { rowCount } = await w.query(
          `UPDATE freezes SET ended_at = clock_timestamp() WHERE id = $1 AND ${inForce}`,
          [id],
        );
        if (rowCount > 0) {
          await audit(w, "freeze.end", `freeze/${id}`);
          await tellFreeze(w);
          return;
        }
        const { rows } = await w.query("SELECT FROM freezes WHERE id = $1", [id]);
        if (rows.length > 0) return;
        throw new StampyardError("NOT_FOUND", `There is no freeze ${quote(id)}`, {
          mend: "See stampyard freeze list.",
        });
      }),
  };
}

/** Part of the transaction that begins or ends it, and told to all processes when that commits. */
export async function tellFreeze(w: Write): Promise<void> {
  await w.query("SELECT pg_notify($1, '')", [freezesChannel]);
  w.tell({ kind: "freeze" });
}

function requireFreeze(
  { scope, stops, reason, until }: Pick<Freeze, "scope" | "stops" | "until"> & { readonly reason: string },
  now: number,
): void {
  if (reason.trim() === "") {
    throw new StampyardError("INVALID_REQUEST", "A freeze needs a reason", { mend: "Say why with --reason." });
  }
  if (stops.length === 0) {
    throw new StampyardError("INVALID_REQUEST", "A freeze that stops nothing is none", {
      mend: `Name some of ${frozenThings.join(", ")}.`,
    });
  }
  requireFuture("The freeze", until, now);
  for (const [field, names] of Object.entries(scope) as [keyof FreezeScope, readonly string[] | undefined][]) {
    if (names?.length === 0) {
      throw new StampyardError("INVALID_REQUEST", `The freeze names no ${field}`, {
        mend: "Name some, or leave it out for all.",
      });
    }
    for (const name of names ?? []) requireName(nameKinds[field], name);
  }
}

const nameKinds = { pools: "pool", regions: "region", stamps: "stamp" } as const;

/** @throws StampyardError INVALID_REQUEST */
export function requireFuture(what: string, until: number | undefined, now: number): void {
  if (until === undefined || (Number.isFinite(until) && until > now)) return;
  throw new StampyardError("INVALID_REQUEST", `${what} would be over before it begins`, {
    mend: "Give a time in the future.",
  });
}

function toFreeze(row: FreezeRow): Freeze {
  return {
    id: row.id,
    scope: row.scope,
    stops: row.stops,
    reason: row.reason,
    by: row.started_by,
    since: row.since,
    ...(row.until === null ? {} : { until: row.until }),
  };
}

/** `fz-` and 10 hexadecimal digits. */
function newFreezeId(): string {
  return `fz-${randomBytes(5).toString("hex")}`;
}
