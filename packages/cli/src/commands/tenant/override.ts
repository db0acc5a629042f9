import type { OverrideView } from "@stampyard/api";
import type { Command } from "commander";
import { type AnyCommand, command, type Run } from "../../define.ts";
import { table } from "../../output/table.ts";
import { addExpiryOptions, type ExpiryOptions, expiryOf } from "../expiry.ts";
import { overrideText } from "./place.ts";

interface Options extends ExpiryOptions {
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

function expiryOptions(c: Command): Command {
  return addExpiryOptions(c, "never").option("--reason <text>", "why, for the audit");
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
