import type { Command } from "commander";
import { CommandFailure } from "../failure.ts";

export interface ExpiryOptions {
  readonly until?: string;
  readonly for?: string;
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export function addExpiryOptions(command: Command, otherwise: string): Command {
  return command
    .option("--until <time>", `when it ends, e.g. 2027-01-31T00:00:00Z (default: ${otherwise})`)
    .option("--for <duration>", "the same from now on: 90m, 12h or 30d");
}

/** @throws CommandFailure INVALID_REQUEST */
export function expiryOf({ until, for: duration }: ExpiryOptions, now: number): string | undefined {
  if (until !== undefined && duration !== undefined) {
    throw new CommandFailure("INVALID_REQUEST", "--until and --for are two ends", { mend: "Give one of them." });
  }
  if (until !== undefined) {
    const at = Date.parse(until);
    if (!Number.isNaN(at)) return new Date(at).toISOString();
    throw new CommandFailure("INVALID_REQUEST", `--until is ${JSON.stringify(until)}`, {
      mend: "Write a time such as 2027-01-31T00:00:00Z.",
    });
  }
  if (duration === undefined) return undefined;
  const [, count = "", unit = ""] = /^(\d{1,6})([mhd])$/.exec(duration) ?? [];
  const ms = Number(count) * (unitMs[unit] ?? 0);
  if (ms > 0) return new Date(now + ms).toISOString();
  throw new CommandFailure("INVALID_REQUEST", `--for is ${JSON.stringify(duration)}`, {
    mend: "Write minutes, hours or days: 90m, 12h or 30d.",
  });
}
