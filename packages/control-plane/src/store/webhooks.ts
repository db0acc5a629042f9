import { randomBytes } from "node:crypto";
import { quote, StampyardError } from "@stampyard/domain";
import type { Queryable } from "./database.ts";
import type { WriteContext } from "./records.ts";
import type { Sealer } from "./stamp-secrets.ts";
import { leaveMessages } from "./webhook-messages.ts";
import type { Webhook, WebhookMessage, WebhookStore } from "./webhook-port.ts";
import { makeWebhookSecret, openWebhookSecret } from "./webhook-secrets.ts";
import { audit, write } from "./write.ts";

interface WebhookRow extends Record<string, unknown> {
  id: string;
  url: string;
  events: string[];
  disabled: boolean;
  created_at: number;
}

interface MessageRow extends Record<string, unknown> {
  id: string;
  webhook: string;
  event: string;
  body: string;
  at: number;
  attempt: number;
  retry_at: number;
  state: WebhookMessage["state"];
  outcome: string | null;
}

const columns = "id, url, events, disabled, created_at";
const messageColumns = "id, webhook, event, body, at, attempt, retry_at, state, outcome";

const mostWebhooks = 50;
const mostShown = 100;
const eventPattern = /^(?:\*|[a-z]+(?:\.[a-z-]+)*(?:\.\*)?)$/;

export function webhookStore(base: Sealer): WebhookStore {
  const { db } = base;
  return {
    async list() {
      const { rows } = await db.query<WebhookRow>(`SELECT ${columns} FROM webhooks ORDER BY created_at, id`);
      return rows.map(toWebhook);
    },
    add: (input, ctx) => addWebhook(base, input, ctx),
    remove: (id, ctx) =>
      write(base, ctx, async (w) => {
        const { rowCount } = await w.query("DELETE FROM webhooks WHERE id = $1", [id]);
        if (rowCount === 0) throw webhookNotFound(id);
        await audit(w, "webhook.remove", `webhook/${id}`);
      }),
    send: (event, data, ctx) =>
      write(base, ctx, async (w) => {
        const sent = await leaveMessages(w, event, data, base.now());
        await audit(w, "webhook.send", "webhooks", { event, webhooks: sent.length });
        return sent.length;
      }),
    test: (id, ctx) =>
      write(base, ctx, async (w) => {
        const hook = await lockWebhook(w, id);
        if (hook.disabled) {
          throw new StampyardError("WRONG_PHASE", `Webhook ${id} is disabled: its receiver answered 410`, {
            mend: "Add it again when its receiver wants messages.",
          });
        }
        const data = { webhook: id, text: "A test message of Stampyard" };
        const [message] = await leaveMessages(w, "webhook.test", data, base.now(), id);
        if (message === undefined) throw webhookNotFound(id);
        await audit(w, "webhook.test", `webhook/${id}`, { message });
        return message;
      }),
    async due(limit) {
      const { rows } = await db.query<DueRow>(
        `SELECT DISTINCT ON (m.webhook) m.id, m.webhook, m.event, m.body, m.at, m.attempt, m.retry_at, m.state,
           m.outcome, h.url, h.master_key_id, h.sealed
         FROM webhook_messages m JOIN webhooks h ON h.id = m.webhook
         WHERE m.state = 'waiting' AND NOT h.disabled AND m.retry_at <= clock_timestamp()
         ORDER BY m.webhook, m.retry_at, m.number LIMIT $1`,
        [limit],
      );
      return opened(base, rows);
    },
    settle: (id, outcome, ctx) => settle(base, id, outcome, ctx),
    async messages(webhook) {
      const { rows } = await db.query<MessageRow>(
        `SELECT ${messageColumns} FROM webhook_messages WHERE webhook = $1 ORDER BY number DESC LIMIT ${mostShown}`,
        [webhook],
      );
      return rows.map(toMessage);
    },
    async prune(keepMs) {
      const { rowCount } = await db.query(
        `DELETE FROM webhook_messages
         WHERE state <> 'waiting' AND at < clock_timestamp() - $1::float8 * interval '1 millisecond'`,
        [keepMs],
      );
      return rowCount;
    },
  };
}

type DueRow = MessageRow & { url: string; master_key_id: string; sealed: Buffer };
type Due = Awaited<ReturnType<WebhookStore["due"]>>[number];

/** One that was sealed under a lost key must not hold up the others. @throws StampyardError when none opens */
function opened({ masters }: Sealer, rows: readonly DueRow[]): readonly Due[] {
  const due: Due[] = [];
  let failure: unknown;
  for (const row of rows) {
    try {
      const secret = openWebhookSecret(masters, { ...row, id: row.webhook });
      due.push({ message: toMessage(row), url: row.url, secret });
    } catch (caught) {
      failure = caught;
    }
  }
  if (due.length === 0 && failure !== undefined) throw failure;
  return due;
}

async function addWebhook(
  base: Sealer,
  { url, events }: { readonly url: string; readonly events: readonly string[] },
  ctx: WriteContext,
): Promise<{ readonly webhook: Webhook; readonly secret: string }> {
  requireUrl(url);
  requireEvents(events);
  return write(base, ctx, async (w) => {
    const { rows: there } = await w.query<{ webhooks: number }>("SELECT count(*) AS webhooks FROM webhooks");
    if ((there[0]?.webhooks ?? 0) >= mostWebhooks) {
      throw new StampyardError("INVALID_REQUEST", `There are ${mostWebhooks} webhooks already`, {
        mend: "Remove one that is not needed any more: stampyard webhook remove.",
      });
    }
    const id = `wh-${randomBytes(5).toString("hex")}`;
    const { secret, masterKeyId, sealed } = makeWebhookSecret(base.masters, id);
    const { rows } = await w.query<WebhookRow>(
      `INSERT INTO webhooks (id, url, events, master_key_id, sealed) VALUES ($1, $2, $3, $4, $5) RETURNING ${columns}`,
      [id, url, [...new Set(events)], masterKeyId, sealed],
    );
    const [row] = rows;
    if (row === undefined) throw webhookNotFound(id);
    await audit(w, "webhook.add", `webhook/${id}`, { url: shownUrl(url), events });
    return { webhook: toWebhook(row), secret };
  });
}

/** One transaction without an audit row, as observations are: but a webhook that is disabled is. */
function settle(
  base: Sealer,
  id: string,
  { state, outcome, retryAt, isGone = false }: Parameters<WebhookStore["settle"]>[1],
  ctx: WriteContext,
): Promise<void> {
  return write(base, ctx, async (w) => {
    const { rows } = await w.query<{ webhook: string }>(
      `UPDATE webhook_messages SET state = $2, outcome = $3, attempt = attempt + 1,
         retry_at = coalesce(to_timestamp($4::float8 / 1000), retry_at)
       WHERE id = $1 AND state = 'waiting' RETURNING webhook`,
      [id, state, outcome.slice(0, 500), retryAt ?? null],
    );
    const [row] = rows;
    if (row === undefined || !isGone) return;
    const { rowCount } = await w.query("UPDATE webhooks SET disabled = true WHERE id = $1 AND NOT disabled", [
      row.webhook,
    ]);
    if (rowCount === 0) return;
    await w.query(
      "UPDATE webhook_messages SET state = 'given-up', outcome = $2 WHERE webhook = $1 AND state = 'waiting'",
      [row.webhook, "its webhook was disabled"],
    );
    await audit(w, "webhook.disable", `webhook/${row.webhook}`, { message: id, outcome });
  });
}

async function lockWebhook(tx: Queryable, id: string): Promise<Webhook> {
  const { rows } = await tx.query<WebhookRow>(`SELECT ${columns} FROM webhooks WHERE id = $1 FOR KEY SHARE`, [id]);
  if (rows[0] === undefined) throw webhookNotFound(id);
  return toWebhook(rows[0]);
}

/** @throws StampyardError INVALID_REQUEST; the message never holds what stands before the host */
function requireUrl(text: string): void {
  const url = URL.canParse(text) && text.length <= 2_000 ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new StampyardError("INVALID_REQUEST", "The URL of a webhook is not one of http or https", {
      mend: "Give one like https://example.com/hooks/stampyard.",
    });
  }
  if (url.username !== "" || url.password !== "" || url.hash !== "") {
    throw new StampyardError("INVALID_REQUEST", "The URL of a webhook holds a user, a password or a fragment", {
      mend: "Leave them out: messages are signed.",
    });
  }
}

/** A query may hold a key of the receiver's. */
function shownUrl(text: string): string {
  const { origin, pathname } = new URL(text);
  return `${origin}${pathname}`;
}

function requireEvents(events: readonly string[]): void {
  const wrong = events.find((event) => !eventPattern.test(event) || event.length > 80);
  if (events.length > 0 && events.length <= 50 && wrong === undefined) return;
  const what = wrong === undefined ? `A webhook of ${events.length} events` : `The event ${quote(wrong)}`;
  throw new StampyardError("INVALID_REQUEST", `${what} is not possible`, {
    mend: "Name events like rollout.paused, rollout.* or *.",
  });
}

function webhookNotFound(id: string): StampyardError {
  return new StampyardError("NOT_FOUND", `There is no webhook ${quote(id)}`, { mend: "See stampyard webhook list." });
}

function toWebhook({ id, url, events, disabled, created_at }: WebhookRow): Webhook {
  return { id, url, events, disabled, createdAt: created_at };
}

function toMessage(row: MessageRow): WebhookMessage {
  return {
    id: row.id,
    webhook: row.webhook,
    event: row.event,
    body: row.body,
    at: row.at,
    attempt: row.attempt,
    retryAt: row.retry_at,
    state: row.state,
    ...(row.outcome === null ? {} : { outcome: row.outcome }),
  };
}
