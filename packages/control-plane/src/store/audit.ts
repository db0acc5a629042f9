import { type AuditRow, auditColumns, auditLink } from "./audit-rows.ts";
import { beginRead, endRead } from "./database.ts";
import type { AuditStore } from "./port.ts";
import type { AuditRecord, AuditVerification, Page } from "./records.ts";
import { numericCursor, pageLimit, pageOf, type StoreBase } from "./write.ts";

/** Unnumbered rows come after every number. */
const beyondNumbers = 100_000_000_000_000;

export function auditStore(base: StoreBase): AuditStore {
  return {
    async list(options = {}): Promise<Page<AuditRecord>> {
      const limit = pageLimit(options.limit);
      // A row that committed late has a lower id and a higher number, so pages follow numbers; ids only order the rest.
      const { rows } = await base.db.query<AuditRow>(
        `SELECT ${auditColumns} FROM audit
         WHERE (number > $1::bigint OR number IS NULL AND id + ${beyondNumbers} > $1::bigint) AND ($2::text IS NULL OR subject = $2)
         ORDER BY number NULLS LAST, id LIMIT $3`,
        [Math.max(numericCursor(options.cursor) ?? 0, options.after ?? 0), options.subject ?? null, limit + 1],
      );
      const place = (row: AuditRow) => String(row.number ?? row.id + beyondNumbers);
      const { items, nextCursor } = pageOf<AuditRow>(rows, limit, place);
      return { items: items.map(toAudit), ...(nextCursor === undefined ? {} : { nextCursor }) };
    },
    verify: () => verify(base),
  };
}

/** Follows the whole chain, in pages of one consistent read. */
async function verify({ db }: StoreBase): Promise<AuditVerification> {
  const client = await beginRead(db);
  try {
    let previous = "0".repeat(64);
    let number = 0;
    for (;;) {
      const { rows } = await client.query<AuditRow>(
        `SELECT ${auditColumns} FROM audit WHERE number > $1 ORDER BY number LIMIT 2000`,
        [number],
      );
      for (const row of rows) {
        const expected = auditLink(previous, number + 1, row);
        if (row.number !== number + 1 || row.chain !== expected)
          return { ok: false, rows: number, brokenAt: number + 1 };
        previous = expected;
        number += 1;
      }
      if (rows.length < 2000) break;
    }
    const head = await client.query<{ audit_number: number; audit_chain: string }>(
      "SELECT audit_number, audit_chain FROM directory_head",
    );
    const ends = head.rows[0]?.audit_number === number && head.rows[0].audit_chain === previous;
    return ends ? { ok: true, rows: number } : { ok: false, rows: number, brokenAt: number + 1 };
  } finally {
    await endRead(client);
  }
}

function toAudit(row: AuditRow): AuditRecord {
  return {
    ...(row.number === null || row.chain === null ? {} : { number: row.number, chain: row.chain }),
    at: row.at,
    actor: row.actor,
    action: row.action,
    subject: row.subject,
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.request_id === null ? {} : { requestId: row.request_id }),
    detail: row.detail,
  };
}
