import type { Instant } from "@stampyard/domain";
import type { WriteContext } from "./records.ts";

/** Whom we tell of rollouts, by the Standard Webhooks specification; its secret is sealed like every other. */
export interface Webhook {
  /** `wh-…`. */
  readonly id: string;
  readonly url: string;
  /** E.g. `rollout.paused`, `rollout.*`. */
  readonly events: readonly string[];
  readonly disabled: boolean;
  readonly createdAt: Instant;
}

export interface WebhookMessage {
  /** The same at every attempt. */
  readonly id: string;
  readonly webhook: string;
  readonly event: string;
  readonly body: string;
  readonly at: Instant;
  readonly attempt: number;
  readonly retryAt: Instant;
  readonly state: "waiting" | "delivered" | "given-up";
  /** Of the last attempt; never a secret. */
  readonly outcome?: string;
}

export interface WebhookStore {
  list(): Promise<readonly Webhook[]>;
  /** `secret` is shown once, here: `whsec_` and base64. */
  add(
    input: { readonly url: string; readonly events: readonly string[] },
    ctx: WriteContext,
  ): Promise<{ readonly webhook: Webhook; readonly secret: string }>;
  remove(id: string, ctx: WriteContext): Promise<void>;
  /** A message for each webhook that wants the event. Rollout writes leave theirs in their own transaction. */
  send(event: string, data: Readonly<Record<string, unknown>>, ctx: WriteContext): Promise<number>;
  /**
   * A message to this one alone, whatever events it wants. @returns its id
   * @throws StampyardError NOT_FOUND; WRONG_PHASE when it is disabled
   */
  test(id: string, ctx: WriteContext): Promise<string>;
  /** For the delivery only: the first of each webhook, with its opened secret. Those of disabled ones are not due. */
  due(
    limit: number,
  ): Promise<readonly { readonly message: WebhookMessage; readonly url: string; readonly secret: string }[]>;
  /** After an attempt. Not audited, but that a webhook is disabled is. */
  settle(
    id: string,
    outcome: {
      readonly state: WebhookMessage["state"];
      readonly outcome: string;
      readonly retryAt?: Instant;
      /** Its receiver wants no more, ever: disables the webhook. @default false */
      readonly isGone?: boolean;
    },
    ctx: WriteContext,
  ): Promise<void>;
  messages(webhook: string): Promise<readonly WebhookMessage[]>;
  prune(keepMs: number): Promise<number>;
}
