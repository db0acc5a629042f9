import { quote, StampyardError } from "@stampyard/domain";
import type { Pin, PinStore } from "./freeze-port.ts";
import { requireFuture, tellFreeze } from "./freezes.ts";
import { stampNotFound } from "./stamp-rows.ts";
import { audit, type StoreBase, type Write, write } from "./write.ts";

interface PinRow extends Record<string, unknown> {
  kind: Pin["subject"]["kind"];
  name: string;
  release_digest: NonNullable<Pin["release"]> | null;
  until: number;
  reason: string;
  set_by: string;
  since: number;
}

const columns = "kind, name, release_digest, until, reason, set_by, since";

export function pinStore(base: StoreBase): PinStore {
  const { db } = base;
  return {
    async list() {
      const { rows } = await db.query<PinRow>(
        `SELECT ${columns} FROM pins WHERE until > clock_timestamp() ORDER BY kind, name`,
      );
      return rows.map(toPin);
    },
    set: (pin, ctx) =>
      write(base, ctx, async (w) => {
        const { subject, release, until, reason } = pin;
        if (reason.trim() === "") throw new StampyardError("INVALID_REQUEST", "A pin needs a reason");
        requireFuture("The pin", until, base.now());
        await requireSubject(w, subject);
        await requireRelease(w, release);
        await w.query("DELETE FROM pins WHERE until < clock_timestamp()");
        const { rows } = await w.query<PinRow>(
          `INSERT INTO pins (kind, name, release_digest, until, reason, set_by)
           VALUES ($1, $2, $3, to_timestamp($4::float8 / 1000), $5, $6)
           ON CONFLICT (kind, name) DO UPDATE SET release_digest = excluded.release_digest, until = excluded.until,
             reason = excluded.reason, set_by = excluded.set_by, since = excluded.since
           RETURNING ${columns}`,
          [subject.kind, subject.name, release ?? null, until, reason, w.ctx.actor],
        );
        const [row] = rows;
        if (row === undefined) throw new StampyardError("INTERNAL", "The pin was not kept");
        const detail = { until, why: reason, ...(release === undefined ? {} : { release }) };
        await audit(w, `${subject.kind}.pin-release`, `${subject.kind}/${subject.name}`, detail);
        await tellFreeze(w);
        return toPin(row);
      }),
    remove: ({ kind, name }, ctx) =>
      write(base, ctx, async (w) => {
        const { rowCount } = await w.query("DELETE FROM pins WHERE kind = $1 AND name = $2", [kind, name]);
        if (rowCount === 0) return;
        await audit(w, `${kind}.unpin-release`, `${kind}/${name}`);
        await tellFreeze(w);
      }),
    async byStamp() {
      const { rows } = await db.query<PinRow & { stamp: string }>(
        `SELECT p.*, coalesce(t.stamp, p.name) AS stamp FROM pins p
         LEFT JOIN tenants t ON p.kind = 'tenant' AND t.key = p.name
         WHERE p.until > clock_timestamp() AND (p.kind = 'stamp' OR t.stamp IS NOT NULL) ORDER BY 1, 2`,
      );
      const pins = new Map<string, Pin[]>();
      for (const row of rows) pins.set(row.stamp, [...(pins.get(row.stamp) ?? []), toPin(row)]);
      return pins;
    },
  };
}

async function requireSubject(w: Write, { kind, name }: Pin["subject"]): Promise<void> {
  const found =
    kind === "stamp"
      ? await w.query("SELECT FROM stamps WHERE name = $1", [name])
      : await w.query("SELECT FROM tenants WHERE key = $1", [name]);
  if (found.rowCount > 0) return;
  if (kind === "stamp") throw stampNotFound(name);
  throw new StampyardError("TENANT_NOT_FOUND", `No tenant ${quote(name)}`, { mend: "See stampyard tenant list." });
}

async function requireRelease(w: Write, release: Pin["release"]): Promise<void> {
  if (release === undefined) return;
  const { rowCount } = await w.query("SELECT FROM releases WHERE digest = $1", [release]);
  if (rowCount > 0) return;
  throw new StampyardError("RELEASE_NOT_FOUND", `There is no release ${release}`, {
    mend: "See stampyard release list.",
  });
}

function toPin(row: PinRow): Pin {
  return {
    subject: { kind: row.kind, name: row.name },
    ...(row.release_digest === null ? {} : { release: row.release_digest }),
    until: row.until,
    reason: row.reason,
    by: row.set_by,
    since: row.since,
  };
}
