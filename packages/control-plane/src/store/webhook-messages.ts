import { randomBytes } from "node:crypto";
import { StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";

/** Receivers of the specification take at least so much. */
const mostBytes = 20_000;

/** E.g. `rollout.paused`, `rollout.*` or `*`. */
export function wantsEvent(patterns: readonly string[], event: string): boolean {
  return patterns.some(
    (pattern) =>
      pattern === "*" || pattern === event || (pattern.endsWith(".*") && event.startsWith(pattern.slice(0, -1))),
  );
}

/**
 * A message for each webhook that wants the event, or for the one that is named, in the caller's transaction: it is told
 * if and only if that commits.
 * @returns their ids
 * @throws StampyardError INVALID_REQUEST for a message that is too long
 */
export async function leaveMessages(
  w: Queryable,
  event: string,
  data: Readonly<Record<string, unknown>>,
  now: number,
  only?: string,
): Promise<readonly string[]> {
  const { rows } = await w.query<{ id: string; events: string[] }>(
    "SELECT id, events FROM webhooks WHERE NOT disabled AND ($1::text IS NULL OR id = $1) ORDER BY id FOR KEY SHARE",
    [only ?? null],
  );
  const wanting = rows.filter((row) => only !== undefined || wantsEvent(row.events, event));
  if (wanting.length === 0) return [];
  const ids = wanting.map(() => `msg_${randomBytes(16).toString("hex")}`);
  const body = JSON.stringify({ type: event, timestamp: new Date(now).toISOString(), data });
  if (Buffer.byteLength(body) > mostBytes) {
    throw new StampyardError("INVALID_REQUEST", `A message of ${Buffer.byteLength(body)} bytes is too long`, {
      mend: `Keep it below ${mostBytes}.`,
    });
  }
  await w.query(
    `INSERT INTO webhook_messages (id, webhook, event, body)
     SELECT id, webhook, $3, $4 FROM unnest($1::text[], $2::text[]) AS t (id, webhook)`,
    [ids, wanting.map((row) => row.id), event, body],
  );
  return ids;
}
