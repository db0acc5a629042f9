import { setTimeout as sleep } from "node:timers/promises";
import type { MoveView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import type { Run } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { nudges } from "../../nudges.ts";
import { viewFor } from "../../up/follow.ts";
import { pauseText } from "./move-text.ts";
import { isSettled, moveNode, statusText } from "./status-text.ts";

export interface FollowMove {
  readonly timeoutMs: number;
  /** @default isSettled */
  readonly isOver?: (move: MoveView) => boolean;
  /** Each time something of it has changed, in place of a view on stderr. */
  readonly onChange?: (move: MoveView) => void;
}

/** Between two looks; an event makes the next one come at once. */
const everyMs = 250;
/** Where nothing can be redrawn, a copy that goes on tells so as often. */
const tellEveryMs = 5_000;
/** What a control plane that is away does not mean: that the move has ended. */
const away: readonly unknown[] = ["CONTROL_PLANE_UNREACHABLE", "NOT_LEADER", "TIMEOUT"];

/**
 * Looks at a move until it is over, showing how far it is. Reads its state, and takes events only as a reason to look,
 * so that a lost one costs only time. The last state seen is answered when time runs out or Ctrl-C ends it.
 */
export async function followMove<O>(
  run: Pick<Run<O>, "io" | "options">,
  client: Client,
  begun: MoveView,
  options: FollowMove,
): Promise<MoveView> {
  const { signal } = run.io;
  const isOver = options.isOver ?? isSettled;
  const over = new AbortController();
  const nudge = nudges(
    client,
    (event) => "move" in event && event.move === begun.id,
    AbortSignal.any([signal, over.signal]),
  );
  using show = shower(run, options.onChange);
  const deadline = performance.now() + options.timeoutMs;
  let move = begun;
  try {
    for (;;) {
      show.move(move);
      const left = deadline - performance.now();
      if (isOver(move) || left <= 0) return move;
      await Promise.race([sleep(Math.min(left, everyMs), undefined, { signal: over.signal }), nudge.next()]);
      if (signal.aborted) return move;
      move = (await look(client, move, signal)) ?? move;
    }
  } finally {
    over.abort();
    await nudge.ended;
  }
}

async function look(client: Client, { id }: MoveView, signal: AbortSignal): Promise<MoveView | undefined> {
  try {
    return await client.moveGet({ params: { id }, signal });
  } catch (caught) {
    if (signal.aborted || away.includes((caught as { readonly code?: unknown }).code)) return undefined;
    throw caught;
  }
}

function shower(
  run: Pick<Run<unknown>, "io"> & { options: Run<unknown>["options"] },
  onChange: FollowMove["onChange"],
) {
  const view = onChange === undefined ? viewFor(run) : undefined;
  const withSteps = run.io.err.isTTY;
  let last = "";
  let told = { phase: "", at: 0, detail: "" };
  return {
    move(move: MoveView) {
      const { updatedAt: _, revision: __, ...content } = move;
      const text = JSON.stringify(content);
      if (text === last) return;
      last = text;
      onChange?.(move);
      const now = performance.now();
      if (withSteps || told.phase !== move.phase || now - told.at > tellEveryMs) {
        told = { phase: move.phase, at: now, detail: statusText(move) };
      }
      view?.show([moveNode(move, { withSteps, detail: withSteps ? move.phase : told.detail })]);
    },
    [Symbol.dispose]: () => view?.[Symbol.dispose](),
  };
}

/**
 * What a command says of a move that it has followed: its end on stdout, what can be done next on stderr.
 * @throws CommandFailure MOVE_ABORTED, NOT_EQUAL, TIMEOUT (exit code 3)
 */
export function concludeMove<O>(run: Run<O>, move: MoveView): ExitCode {
  if (run.io.signal.aborted && !isSettled(move)) return sayGoesOn(run, move);
  const { id, tenant, from, to } = move;
  switch (move.phase) {
    case "resting":
    case "erasing":
    case "done": {
      const pause = pauseText(move);
      run.emit(
        move,
        () => `Tenant ${tenant} is on ${to}${pause === undefined ? "" : `; writes paused for ${pause}`}\n`,
      );
      if (move.wayBackUntil !== undefined && move.options.restMs > 0) {
        run.say(`Until ${move.wayBackUntil} it can go back with its new writes: stampyard move rollback ${id}`);
        run.say(`Its copy on ${from} is erased then, or now with: stampyard move finish ${id}`);
      }
      return exitCode.ok;
    }
    case "returned":
      run.emit(move, () => `Tenant ${tenant} was taken back to ${from} by another move\n`);
      return exitCode.ok;
    case "aborted":
      throw new CommandFailure(
        "MOVE_ABORTED",
        `Move ${id} of tenant ${tenant} was aborted: ${move.cause ?? "no cause known"}`,
        {
          mend: `It is served by ${from} as before. See what stands in the way: stampyard tenant move ${tenant} --to ${to} --dry-run`,
        },
      );
    case "disputed":
      throw new CommandFailure("NOT_EQUAL", `Tenant ${tenant} is on ${to}, and ${move.cause ?? "its copies differ"}`, {
        mend: `Nothing is erased. Look with stampyard move show ${id}, then take it back (move rollback) or accept it (move finish --accept).`,
      });
    default:
      throw new CommandFailure("TIMEOUT", `Move ${id} of tenant ${tenant} is ${statusText(move)}`, {
        mend: `It goes on: stampyard move watch ${id}; give it up: stampyard move abort ${id}`,
        exit: exitCode.notReady,
      });
  }
}

/** Ctrl-C ends the looking, not the move. */
export function sayGoesOn<O>(run: Run<O>, { id, tenant, phase }: MoveView): ExitCode {
  run.io.err.write(
    `Move ${id} of tenant ${tenant} is ${phase} and goes on\n  watch it:   stampyard move watch ${id}\n  give it up: stampyard move abort ${id}\n`,
  );
  return run.io.signal.reason === "SIGTERM" ? exitCode.terminated : exitCode.interrupted;
}
