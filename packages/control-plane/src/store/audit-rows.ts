import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "@stampyard/domain";

export interface AuditRow extends Record<string, unknown> {
  id: number;
  number: number | null;
  chain: string | null;
  at: number;
  actor: string;
  action: string;
  subject: string;
  reason: string | null;
  request_id: string | null;
  detail: Record<string, unknown>;
}

export const auditColumns = "id, number, chain, at, actor, action, subject, reason, request_id, detail";

/** Chain value of a row: a change of any field of any earlier row breaks every later value. */
export function auditLink(previous: string, number: number, row: AuditRow): string {
  const { at, actor, action, subject, reason, request_id: requestId, detail } = row;
  const facts = { number, at, actor, action, subject, reason, requestId, detail };
  return createHash("sha256")
    .update(`${previous}\n${canonicalJson(facts as unknown as Json)}`)
    .digest("hex");
}
