import type { Rollout } from "@stampyard/domain";
import { leaveMessages } from "./webhook-messages.ts";
import type { Write } from "./write.ts";

/** What webhooks hear of a rollout: a phase that begins, in the transaction that begins it. */
export async function leaveRolloutMessage(w: Write, rollout: Rollout, now: number): Promise<void> {
  await leaveMessages(w, `rollout.${rollout.state.kind}`, messageOf(rollout), now);
}

function messageOf(rollout: Rollout): Readonly<Record<string, unknown>> {
  const { id, release, components, state, hotfix, undoes, by, reason } = rollout;
  const index = "wave" in state ? state.wave : undefined;
  const wave = index === undefined ? undefined : { index, name: rollout.waves[index]?.name };
  return {
    rollout: id,
    release,
    phase: state.kind,
    by,
    ...(components.length === 0 ? {} : { components: components.slice(0, mostParts) }),
    ...(hotfix ? { hotfix } : {}),
    ...(undoes === undefined ? {} : { undoes }),
    ...(reason === undefined ? {} : { reason: short(reason) }),
    ...(wave === undefined ? {} : { wave }),
    ...("until" in state ? { until: new Date(state.until).toISOString() } : {}),
    ...("cause" in state ? { cause: short(state.cause), endedBy: state.by } : {}),
    ...(state.kind === "paused" ? { cause: short(state.why), pausedBy: state.by } : {}),
    ...(state.kind === "superseded" ? { supersededBy: state.by } : {}),
  };
}

/** A cause may quote what a program wrote; a message must never be too long to be left. */
const mostLetters = 1_000;
const mostParts = 50;

function short(text: string): string {
  return text.length > mostLetters ? `${text.slice(0, mostLetters)}…` : text;
}
