import type { Command } from "commander";
import type { Client } from "../../connection.ts";
import { numberIn, type Run } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { concludeRollout, followRollout, lineOf } from "./follow-rollout.ts";
import { hasEnded } from "./rollout-text.ts";

/** How every command that follows a rollout may end. */
export const followExits: readonly ExitCode[] = [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted];

export interface WatchOptions {
  readonly timeout: number;
  readonly stay?: boolean;
}

export function addWatchOptions(command: Command): Command {
  return command
    .option("--stay", "go on looking while it is paused or wants an approval, instead of ending with 3")
    .option(
      "--timeout <seconds>",
      "how long to look; it goes on after that",
      numberIn("timeout", 1, 2_592_000),
      604_800,
    );
}

/**
 * Follows a rollout to its end, and ends with its exit code. JSON of either kind is a line for each change.
 * @throws CommandFailure as `concludeRollout`
 */
export async function watchToEnd<O extends WatchOptions>(run: Run<O>, client: Client, id: string): Promise<ExitCode> {
  const { output, timeout, stay } = run.options;
  const lines = output !== "table";
  const rollout = await followRollout(run, client, id, {
    timeoutMs: timeout * 1_000,
    ...(stay === true ? { isOver: hasEnded } : {}),
    ...(lines ? { onChange: (look) => run.io.out.write(lineOf(look)) } : {}),
  });
  return concludeRollout(lines ? { ...run, emit: () => undefined } : run, rollout);
}
