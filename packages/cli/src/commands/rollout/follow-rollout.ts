import { setTimeout as sleep } from "node:timers/promises";
import type { RolloutDetailView, RolloutMemberView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import type { Run } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { nudges } from "../../nudges.ts";
import { viewFor } from "../../up/follow.ts";
import { rolloutNode } from "./rollout-nodes.ts";
import { hasEnded, progressText, releaseText, spentText, waitsForPerson } from "./rollout-text.ts";

/** One look: the rollout and its members. */
export interface Look {
  readonly rollout: RolloutDetailView;
  readonly members: readonly RolloutMemberView[];
}

export interface FollowRollout {
  readonly timeoutMs: number;
  /** @default ended, or waiting for a person */
  readonly isOver?: (rollout: RolloutDetailView) => boolean;
  /** Each time something of it has changed, in place of a view on stderr. */
  readonly onChange?: (look: Look) => void;
}

/** Between two looks, less at first; an event makes the next one come at once. */
const everyMs = 1_000;
const soonMs = 100;
/** What a control plane that is away does not mean: that the rollout has ended. */
const away: readonly unknown[] = ["CONTROL_PLANE_UNREACHABLE", "NOT_LEADER", "TIMEOUT"];

/**
 * Looks at a rollout until it is over, showing waves, stamps and gate. Reads its state, and takes events only as a reason
 * to look, so that a lost one costs only time. The last look is answered when time runs out or Ctrl-C ends it.
 */
export async function followRollout<O>(
  run: Pick<Run<O>, "io" | "options">,
  client: Client,
  id: string,
  options: FollowRollout,
): Promise<RolloutDetailView> {
  const { signal } = run.io;
  const isOver = options.isOver ?? ((rollout) => hasEnded(rollout) || waitsForPerson(rollout));
  const over = new AbortController();
  const isOfIt = (event: { readonly kind: string }) =>
    event.kind === "stamp-phase" || ("rollout" in event && event.rollout === id);
  const nudge = nudges(client, isOfIt, AbortSignal.any([signal, over.signal]));
  using show = shower(run, options.onChange);
  const deadline = performance.now() + options.timeoutMs;
  let look = await lookAt(client, id, signal);
  try {
    for (let looks = 1; ; looks++) {
      show.look(look);
      const left = deadline - performance.now();
      if (isOver(look.rollout) || left <= 0) return look.rollout;
      await Promise.race([
        sleep(Math.min(left, everyMs, looks * soonMs), undefined, { signal: over.signal }),
        nudge.next(),
      ]);
      if (signal.aborted) return look.rollout;
      look = (await tryLook(client, id, signal)) ?? look;
    }
  } finally {
    over.abort();
    await nudge.ended;
  }
}

async function lookAt(client: Client, id: string, signal: AbortSignal): Promise<Look> {
  const [rollout, { items: members }] = await Promise.all([
    client.rolloutGet({ params: { id }, signal }),
    client.rolloutMembers({ params: { id }, signal }),
  ]);
  return { rollout, members };
}

async function tryLook(client: Client, id: string, signal: AbortSignal): Promise<Look | undefined> {
  try {
    return await lookAt(client, id, signal);
  } catch (caught) {
    if (signal.aborted || away.includes((caught as { readonly code?: unknown }).code)) return undefined;
    throw caught;
  }
}

function shower(
  run: Pick<Run<unknown>, "io"> & { options: Run<unknown>["options"] },
  onChange: FollowRollout["onChange"],
) {
  const view = onChange === undefined ? viewFor(run) : undefined;
  const isLive = run.io.err.isTTY;
  let last = "";
  return {
    look({ rollout, members }: Look) {
      const text = JSON.stringify([contentOf(rollout), members]);
      const isNew = text !== last;
      last = text;
      if (isNew) onChange?.({ rollout, members });
      // On a terminal the times run on.
      if (isNew || isLive) view?.show([rolloutNode(rollout, members, { isLive, nowMs: Date.now() })]);
    },
    [Symbol.dispose]: () => view?.[Symbol.dispose](),
  };
}

/** What a change of it is: not that time goes by, nor that its gate looked again and says the same. */
function contentOf({ updatedAt: _, revision: __, spent: ___, gate, ...content }: RolloutDetailView): object {
  return { ...content, verdict: gate?.verdict, checks: gate?.checks };
}

/** One line of `-o jsonl`: the rollout with its stamps, as `rollout show -o json` has it. */
export function lineOf({ rollout, members }: Look): string {
  return `${JSON.stringify({ ...rollout, stamps: members })}\n`;
}

/**
 * What a command says of a rollout that it has followed.
 * @throws CommandFailure ROLLOUT_ABORTED; ROLLOUT_PAUSED and TIMEOUT (exit code 3); WRONG_PHASE for one that made way
 */
export function concludeRollout<O>(run: Run<O>, rollout: RolloutDetailView): ExitCode {
  const { id, phase, why } = rollout;
  const again =
    rollout.members.failed > 0
      ? `Try what failed again: stampyard rollout retry ${id}`
      : `Go on: stampyard rollout resume ${id}`;
  if (run.io.signal.aborted && !hasEnded(rollout)) return sayGoesOn(run, rollout);
  switch (phase) {
    case "done":
      run.emit(rollout, () => `${whatText(rollout)} is everywhere: ${progressText(rollout)}; ${spentText(rollout)}\n`);
      run.say(`Take it back: stampyard rollout undo ${id}`);
      return exitCode.ok;
    case "aborted":
    case "aborting":
      throw new CommandFailure(
        "ROLLOUT_ABORTED",
        `Rollout ${id} was taken back${phase === "aborting" ? ", and its stamps are on their way" : ""}: ${why ?? "no cause known"}`,
        { mend: `See which stamps it touched: stampyard rollout show ${id}` },
      );
    case "superseded":
      throw new CommandFailure("WRONG_PHASE", `Rollout ${id} made way for ${rollout.endedBy ?? "a newer one"}`, {
        mend: `Stamps that it reached keep what they got. Watch the newer one: stampyard rollout watch ${rollout.endedBy ?? ""}`.trimEnd(),
      });
    case "paused":
      throw new CommandFailure(
        "ROLLOUT_PAUSED",
        `Rollout ${id} is paused: ${why ?? rollout.waitingOn ?? "no cause known"}`,
        {
          mend: `${again}; past this: rollout promote ${id}; take it back: rollout abort ${id}`,
          exit: exitCode.notReady,
        },
      );
    case "approval":
      throw new CommandFailure("ROLLOUT_PAUSED", `Rollout ${id} waits for an approval of its next wave`, {
        mend: `Let it go on: stampyard rollout approve ${id}; take it back: stampyard rollout abort ${id}`,
        exit: exitCode.notReady,
      });
    default:
      throw new CommandFailure("TIMEOUT", `Rollout ${id} is ${phase}: ${rollout.waitingOn ?? progressText(rollout)}`, {
        mend: `It goes on: stampyard rollout watch ${id}; take it back: stampyard rollout abort ${id}`,
        exit: exitCode.notReady,
      });
  }
}

/** `Release 2.1.0`, or `db of release 2.1.0`. */
function whatText(rollout: RolloutDetailView): string {
  const { components } = rollout;
  const release = `elease ${releaseText(rollout)}`;
  return components.length === 0 ? `R${release}` : `${components.join(", ")} of r${release}`;
}

/** Ctrl-C ends the looking, not the rollout. */
function sayGoesOn<O>(run: Run<O>, { id, phase }: RolloutDetailView): ExitCode {
  run.io.err.write(
    `Rollout ${id} ${phase === "approval" ? "waits for an approval" : `is ${phase} and goes on`}\n  watch it:     stampyard rollout watch ${id}\n  take it back: stampyard rollout abort ${id}\n`,
  );
  return run.io.signal.reason === "SIGTERM" ? exitCode.terminated : exitCode.interrupted;
}
