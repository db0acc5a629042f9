import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { EndpointName } from "@stampyard/api";
import { canonicalJson, type Json, StampyardError } from "@stampyard/domain";
import type { HeldKey, IdempotencyStore } from "../store/port.ts";
import { type Answer, jsonAnswer } from "./answer.ts";

export interface KeyedRequest {
  /** `Idempotency-Key`; without one the request just runs. */
  readonly key: string | undefined;
  /** A key means something only together with the token that sent it. */
  readonly principal: string;
  /** As in the audit rows of what it does. */
  readonly requestId: string;
  readonly name: EndpointName;
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

/** How long a repeat waits for the first request to end before it is told to come again. */
const patience = { looks: 20, everyMs: 100 } as const;

/**
 * Runs a request once per key: a repeat gets the answer of the first. A failed first attempt frees its key, unless it did its work.
 * @throws StampyardError IDEMPOTENCY_MISMATCH for another request under the same key, LOCKED while the first still runs,
 *   ALREADY_EXISTS when the first was carried out and its answer is lost
 */
export async function withIdempotency(
  store: IdempotencyStore,
  request: KeyedRequest,
  run: () => Promise<Answer>,
): Promise<Answer> {
  if (request.key === undefined) return run();
  const { principal, requestId } = request;
  const key = { principal, key: request.key, requestId };
  const requestHash = hashOf(request);
  for (let look = 0; look < patience.looks; look++) {
    const begun = await store.begin({ ...key, requestHash });
    if (begun.kind === "replay") return jsonAnswer(begun.status, begun.body);
    if (begun.kind === "new") return runFirst(store, key, run);
    await sleep(patience.everyMs);
  }
  throw new StampyardError("LOCKED", "The first request with this Idempotency-Key is still running", {
    mend: "Repeat it with the same key in a moment.",
  });
}

async function runFirst(store: IdempotencyStore, key: HeldKey, run: () => Promise<Answer>): Promise<Answer> {
  let answer: Answer;
  try {
    answer = await run();
  } catch (caught) {
    await store.abandon(key).catch(() => {});
    throw caught;
  }
  // What was asked for is done; that its answer could not be kept must not make it look undone.
  await store
    .done(key, { status: answer.status, body: answer.json ?? null })
    .catch(() => store.abandon(key).catch(() => {}));
  return answer;
}

function hashOf({ name, params, query, body }: KeyedRequest): string {
  const text = canonicalJson({ name, params, query, body } as unknown as Json);
  return createHash("sha256").update(text).digest("hex");
}
