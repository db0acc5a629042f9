import { type Clock, type FencingToken, type Random, StampyardError } from "@stampyard/domain";
import type { Log } from "../reconcilers/turn.ts";
import type { Store } from "../store/port.ts";
import { type Delivered, deliverMessage } from "./deliver-message.ts";

const everyMs = 1_000;
/** After the store could not be asked: what is wrong with it is logged no more often. */
const everyWhileWrongMs = 10_000;
const pruneEveryMs = 600_000;
const keepMs = 7 * 24 * 60 * 60_000;
/** One to each webhook at a time; a slow receiver holds up nobody else's. */
const mostAtATime = 50;

/** What the specification suggests, each some part earlier or later; after the last one a message is given up. */
const delaysMs = [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000];

export interface WebhookDeps {
  readonly store: Pick<Store, "webhooks" | "watch">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Delivers what waits for webhooks while this process leads, each message at least once: one whose outcome was not
 * written down goes out again, under the same id. Messages to one webhook follow each other, but a failed one does not
 * hold up the next.
 */
export async function runWebhooks(deps: WebhookDeps, token: FencingToken, signal: AbortSignal): Promise<void> {
  const lost = new AbortController();
  const ending = AbortSignal.any([signal, lost.signal]);
  const busy = new Map<string, Promise<void>>();
  let wake = new AbortController();
  const unwatch = deps.store.watch(({ kind }) => {
    if (kind === "rollout") wake.abort();
  });
  let pruneAt = 0;
  try {
    while (!ending.aborted) {
      wake = new AbortController();
      let restMs = everyMs;
      try {
        // What was on its way when the store was asked may have arrived since: it would go out twice.
        const before = new Set(busy.keys());
        for (const due of await deps.store.webhooks.due(mostAtATime)) {
          const { webhook } = due.message;
          if (before.has(webhook) || busy.has(webhook) || ending.aborted) continue;
          const work = deliver(deps, due, token, ending)
            .catch((caught: unknown) => complain(deps, caught, lost))
            .finally(() => {
              busy.delete(webhook);
              wake.abort();
            });
          busy.set(webhook, work);
        }
        if (deps.clock.now() >= pruneAt) {
          await deps.store.webhooks.prune(keepMs);
          pruneAt = deps.clock.now() + pruneEveryMs;
        }
      } catch (caught) {
        restMs = everyWhileWrongMs;
        complain(deps, caught, lost);
      }
      await deps.clock.sleep(restMs, AbortSignal.any([ending, wake.signal])).catch(() => {});
    }
  } finally {
    unwatch();
    await Promise.all(busy.values());
  }
  if (lost.signal.aborted) throw lost.signal.reason;
}

type Due = Awaited<ReturnType<Store["webhooks"]["due"]>>[number];

async function deliver(deps: WebhookDeps, due: Due, token: FencingToken, signal: AbortSignal): Promise<void> {
  const delivered = await deliverMessage(due, deps.clock.now(), signal);
  const { id, webhook, event, attempt } = due.message;
  const retryAt = nextAttempt(delivered, attempt, deps);
  const state = delivered.kind === "delivered" ? "delivered" : retryAt === undefined ? "given-up" : "waiting";
  const { outcome } = delivered;
  await deps.store.webhooks.settle(
    id,
    { state, outcome, isGone: delivered.kind === "gone", ...(retryAt === undefined ? {} : { retryAt }) },
    { actor: "webhooks", token },
  );
  if (delivered.kind === "gone") deps.log.warn({ webhook, event }, "a webhook was disabled: its receiver is gone");
  else if (state === "given-up") deps.log.warn({ webhook, event, outcome }, "a message to a webhook was given up");
}

/** Undefined = never again. */
function nextAttempt(
  delivered: Delivered,
  attempt: number,
  { clock, random }: Pick<WebhookDeps, "clock" | "random">,
): number | undefined {
  const delay = delaysMs[attempt];
  if (delivered.kind !== "failed" || delay === undefined) return undefined;
  const jittered = delay * (0.8 + 0.4 * ((random.bytes(1)[0] ?? 0) / 255));
  return clock.now() + Math.round(Math.max(jittered, delivered.afterMs ?? 0));
}

function complain({ log }: WebhookDeps, caught: unknown, lost: AbortController): void {
  const error = StampyardError.from(caught);
  if (error.code === "STALE_LEADER") lost.abort(error);
  else if (!lost.signal.aborted) log.warn({ code: error.code, err: error }, "messages to webhooks cannot be delivered");
}
