import { type ErasureCertificate, StampyardError } from "@stampyard/domain";
import type { CertificateRecord } from "./records.ts";
import type { StoreBase } from "./write.ts";

interface Row extends Record<string, unknown> {
  certificate: ErasureCertificate;
  number: number | null;
  chain: string | null;
  ordered_by: string | null;
  reason: string | null;
  ordered_at: number | null;
}

/** From the audit, which outlives the tenant: the newest one of this key. */
export async function readCertificate({ db }: StoreBase, key: string): Promise<CertificateRecord> {
  const { rows } = await db.query<Row>(
    `SELECT a.detail -> 'certificate' AS certificate, a.number, a.chain,
       o.actor AS ordered_by, o.reason AS reason, o.at AS ordered_at
     FROM audit a LEFT JOIN LATERAL (
       SELECT actor, reason, at FROM audit
       WHERE subject = a.subject AND action = 'tenant.remove' AND id < a.id ORDER BY id DESC LIMIT 1
     ) o ON true
     WHERE a.subject = $1 AND a.action = 'tenant.gone' AND a.detail ? 'certificate' ORDER BY a.id DESC LIMIT 1`,
    [`tenant/${key}`],
  );
  const [row] = rows;
  if (row === undefined) {
    throw new StampyardError("NOT_FOUND", `There is no certificate of tenant ${key}`, {
      mend: `It is written when the tenant is gone: see stampyard tenant history ${key}.`,
    });
  }
  const { certificate, number, chain, ordered_by: by, reason, ordered_at: at } = row;
  return {
    certificate,
    ...(number === null || chain === null ? {} : { audit: { number, chain } }),
    ...(by === null || at === null ? {} : { ordered: { by, ...(reason === null ? {} : { reason }), at } }),
  };
}
