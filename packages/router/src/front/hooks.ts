import type { Decision } from "../decide.ts";
import type { RefusalReason } from "../refusals.ts";

export type ForwardDecision = Extract<Decision, { kind: "forward" }>;

/** What may stand between a decision and its stamp: limits of a tenant, and the hold of a move. */
export interface Gate {
  /** Asked once per request, and again after a hold. */
  enter(decision: ForwardDecision): GateAnswer;
}

export type GateAnswer =
  /** `leave` is called once, when the request has ended. */
  | { readonly kind: "pass"; readonly leave?: () => void }
  | { readonly kind: "refuse"; readonly reason: RefusalReason; readonly retryAfterMs?: number }
  /**
   * The request waits. `resume` makes the router decide anew, by the directory of that moment, so the tenant may have
   * another home; `refuse` answers it. The function returned is called if the client leaves first.
   */
  | {
      readonly kind: "hold";
      readonly wait: (then: {
        readonly resume: () => void;
        readonly refuse: (reason: RefusalReason) => void;
      }) => () => void;
    };
