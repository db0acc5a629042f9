import type { OverrideView } from "@stampyard/api";
import { type AnyCommand, command, type Run } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { table } from "../../output/table.ts";
import { overrideText } from "./place.ts";

interface Options {
  readonly until?: string;
  readonly for?: string;
  readonly reason?: string;
}

const about = "Counts from its next placement on, and moves nobody. The tenant may not exist yet.";

export const tenantPin = command<Options>({
  usage: "pin <tenant> <stamp>",
  summary: "Place a tenant on this stamp and no other, until a date; undone by unpin",
  about,
  completes: ["tenant", "stamp"],
  options: expiryOptions,
  examples: [
    ["tenant pin acme shared-2 --for 30d", "for thirty days"],
    ['tenant pin acme shared-2 --reason "near its data"', "for good, with the reason in the audit"],
  ],
  run: async (run) => {
    const [key = "", stamp = ""] = run.args;
    await set(run, key, { kind: "pin", stamp });
  },
});

export const tenantQuarantine = command<Options>({
  usage: "quarantine <tenant>",
  summary: "Place a tenant with quarantined ones only, until a date; undone by unquarantine",
  about,
  completes: ["tenant"],
  options: expiryOptions,
  examples: [["tenant quarantine acme --until 2027-01-31T00:00:00Z", "until that instant"]],
  run: (run) => set(run, run.args[0] ?? "", { kind: "quarantine" }),
});

export const tenantUnpin = end("unpin", "pin", "End the pin of a tenant");
export const tenantUnquarantine = end("unquarantine", "quarantine", "End the quarantine of a tenant");

export const tenantOverrides = command({
  usage: "overrides",
  summary: "List pins and quarantines that are in force",
  examples: [["tenant overrides", "who set each of them, and until when"]],
  run: async (run) => {
    const client = await run.client();
    const items = await client.all("overrideList", { query: { limit: 500 }, signal: run.io.signal });
    run.emit({ items }, () =>
      table(
        ["tenant", "kind", "stamp", "until", "set by", "reason"],
        items.map((row) => [row.tenant, row.kind, row.stamp, row.until, row.setBy, row.reason]),
      ),
    );
  },
});

function expiryOptions(c: Parameters<NonNullable<Parameters<typeof command>[0]["options"]>>[0]) {
  return c
    .option("--until <time>", "when it ends, e.g. 2027-01-31T00:00:00Z (default: never)")
    .option("--for <duration>", "the same from now on: 90m, 12h or 30d")
    .option("--reason <text>", "why, for the audit");
}

type Word = { readonly kind: "pin"; readonly stamp: string } | { readonly kind: "quarantine" };

async function set(run: Run<Options>, key: string, word: Word): Promise<void> {
  const { reason } = run.options;
  const until = expiryOf(run.options, Date.now());
  const client = await run.client();
  const override: OverrideView = await client.overrideSet({
    params: { key },
    body: { ...word, ...(until === undefined ? {} : { until }), ...(reason === undefined ? {} : { reason }) },
    signal: run.io.signal,
  });
  run.emit(override, () => `Tenant ${key} is ${overrideText(override)}\n`);
}

/** Ends only what it names: a quarantine is not lifted by a hand that meant a pin. */
function end(verb: string, kind: OverrideView["kind"], summary: string): AnyCommand {
  return command<Pick<Options, "reason">>({
    usage: `${verb} <tenant>`,
    summary,
    completes: ["tenant"],
    options: (c) => c.option("--reason <text>", "why, for the audit"),
    examples: [[`tenant ${verb} acme`, "its next placement is free again"]],
    run: async (run) => {
      const key = run.args[0] ?? "";
      const { reason } = run.options;
      const client = await run.client();
      const query = { kind, ...(reason === undefined ? {} : { reason }) };
      await client.overrideRemove({ params: { key }, query, signal: run.io.signal });
      run.emit({ tenant: key }, () => `Tenant ${key} is no longer ${kind === "pin" ? "pinned" : "quarantined"}\n`);
    },
  });
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** @throws CommandFailure INVALID_REQUEST */
export function expiryOf({ until, for: duration }: Options, now: number): string | undefined {
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
