import type { MoveView } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { findMove, moveArgument } from "./find-move.ts";
import { concludeMove, followMove, sayGoesOn } from "./follow-move.ts";

export const moveWatch = command<{ readonly timeout: number }>({
  usage: "watch <move>",
  summary: "Show how a move goes until its tenant is served by one stamp again",
  about: `${moveArgument} Ctrl-C ends the looking, not the move. -o jsonl prints the move once for each change.`,
  completes: ["move"],
  streams: true,
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) => c.option("--timeout <seconds>", "how long to look", numberIn("timeout", 1, 604_800), 86_400),
  examples: [
    ["move watch acme", "phase, table, rows, bytes, rate, time left, and what it waits for"],
    ["move watch acme -o jsonl", "one JSON object per change, for a script"],
  ],
  run: async (run) => {
    const client = await run.client();
    const begun = await findMove(client, run.args[0] ?? "", run.io.signal);
    const lines = run.options.output === "jsonl";
    const onChange = (move: MoveView) => run.io.out.write(`${JSON.stringify(move)}\n`);
    const timeoutMs = run.options.timeout * 1_000;
    const move = await followMove(run, client, begun, { timeoutMs, ...(lines ? { onChange } : {}) });
    if (run.io.signal.aborted) return sayGoesOn(run, move);
    return concludeMove(lines ? { ...run, emit: () => undefined } : run, move);
  },
});
