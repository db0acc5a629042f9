import type { Command } from "commander";
import { numberIn } from "../../define.ts";

export interface WaitOptions {
  readonly wait: boolean;
  readonly timeout: number;
}

/** Commander makes `wait` true unless `--no-wait` is given. */
export function addWaitOptions(command: Command, until: string): Command {
  return command
    .option("--wait", `show how it goes, and return ${until}`, true)
    .option("--no-wait", "return at once; it goes on by itself")
    .option("--timeout <seconds>", "how long to wait; it goes on after that", numberIn("timeout", 1, 604_800), 86_400);
}
