import type { PinView } from "@stampyard/api";
import { type AnyCommand, command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { table } from "../../output/table.ts";
import { addExpiryOptions, type ExpiryOptions, expiryOf } from "../expiry.ts";
import { releaseText } from "../rollout/rollout-text.ts";
import { findRelease, releaseArgument } from "./find-release.ts";

interface Options extends ExpiryOptions {
  readonly reason: string;
  readonly release?: string;
}

interface Words {
  readonly kind: PinView["kind"];
  readonly usage: string;
  readonly undone: string;
  readonly summary: string;
  readonly about: string;
  readonly example: string;
}

function pin({ kind, usage, undone, summary, about, example }: Words): AnyCommand {
  return command<Options>({
    usage,
    summary,
    about: `${about} Its end is part of it: pins are not for good. ${releaseArgument}`,
    completes: [kind],
    options: (c) =>
      addExpiryOptions(
        c
          .requiredOption("--reason <text>", "why, for the audit and for whoever wonders")
          .option("--release <release>", "which one (default: what it runs when a rollout comes by)"),
        "none: an end is wanted",
      ),
    examples: [[example, `rollouts pass it by until then; ${undone} ends it sooner`]],
    run: async (run) => {
      const name = run.args[0] ?? "";
      const { signal } = run.io;
      const { reason, release } = run.options;
      const until = expiryOf(run.options, Date.now());
      if (until === undefined) {
        throw new CommandFailure("INVALID_REQUEST", "A pin wants an end", { mend: "Add --for 30d, or --until TIME." });
      }
      const client = await run.client();
      const found = release === undefined ? undefined : await findRelease(client, release, signal);
      const body = { until, reason, ...(found === undefined ? {} : { release: found.digest }) };
      const set =
        kind === "stamp"
          ? await client.pinStampSet({ params: { name }, body, signal })
          : await client.pinTenantSet({ params: { key: name }, body, signal });
      run.emit(set, () => `${pinText(set)}\n`);
    },
  });
}

function unpin(kind: PinView["kind"], usage: string, example: string): AnyCommand {
  return command<{ readonly reason?: string }>({
    usage,
    summary: `End the pin of a ${kind} to a release`,
    about: "The next rollout takes it along; the one that is on its way goes on without it.",
    completes: [kind],
    options: (c) => c.option("--reason <text>", "why, for the audit"),
    examples: [[example, "before its time is over"]],
    run: async (run) => {
      const name = run.args[0] ?? "";
      const { reason } = run.options;
      const { signal } = run.io;
      const client = await run.client();
      const query = reason === undefined ? {} : { reason };
      if (kind === "stamp") await client.pinStampRemove({ params: { name }, query, signal });
      else await client.pinTenantRemove({ params: { key: name }, query, signal });
      run.emit({ kind, name }, () => `${kind === "stamp" ? "Stamp" : "Tenant"} ${name} is pinned to no release\n`);
    },
  });
}

function pinText({ kind, name, release, version, until }: PinView): string {
  const to = release === undefined ? "the release it runs" : `release ${releaseText({ release, version })}`;
  return `${kind === "stamp" ? "Stamp" : "Tenant"} ${name} is pinned to ${to} until ${until}`;
}

export const stampPin = pin({
  kind: "stamp",
  usage: "pin <stamp>",
  undone: "stamp unpin",
  summary: "Keep a stamp on a release until a date; undone by unpin",
  about: "Rollouts leave it out, and say so.",
  example: 'stamp pin shared-2 --for 7d --reason "a long import"',
});
export const stampUnpin = unpin("stamp", "unpin <stamp>", "stamp unpin shared-2");

export const tenantPinRelease = pin({
  kind: "tenant",
  usage: "pin-release <tenant>",
  undone: "tenant unpin-release",
  summary: "Keep every stamp that holds this tenant on a release until a date",
  about: "Wherever it lives. Its stamp goes in the late ring, and is left out while the pin holds.",
  example: 'tenant pin-release acme --until 2027-01-31T00:00:00Z --reason "their own tests"',
});
export const tenantUnpinRelease = unpin("tenant", "unpin-release <tenant>", "tenant unpin-release acme");

export const releasePins = command({
  usage: "pins",
  summary: "List stamps and tenants that are pinned to a release",
  examples: [["release pins", "who set each of them, why, and until when"]],
  run: async (run) => {
    const client = await run.client();
    const { items } = await client.pinList({ signal: run.io.signal });
    run.emit({ items }, () =>
      items.length === 0
        ? "Nothing is pinned to a release\n"
        : table(
            ["pinned", "name", "release", "until", "by", "reason"],
            items.map((row) => [
              row.kind,
              row.name,
              row.release === undefined ? "what it runs" : releaseText({ release: row.release, version: row.version }),
              row.until,
              row.setBy,
              row.reason,
            ]),
          ),
    );
  },
});
