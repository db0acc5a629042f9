import type { ReleaseDiffView } from "@stampyard/api";
import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { shortDigest } from "../rollout/rollout-text.ts";
import { findRelease, releaseArgument } from "./find-release.ts";

interface Options {
  readonly from?: string;
  readonly stamp?: string;
}

export const releaseDiff = command<Options>({
  usage: "diff <release>",
  summary: "Show what a release changes, beside another release or for one stamp",
  about: `${releaseArgument} Without --from it is compared with what the stamp runs, or with the fleet's release.`,
  exits: [exitCode.ok, exitCode.error, exitCode.changes, exitCode.interrupted],
  options: (c) =>
    c
      .option("--from <release>", "beside this release")
      .option("--stamp <name>", "for this stamp: with its own parameters and capacity"),
  examples: [
    ["release diff 2.1.0 --stamp shared-1", "exit code 0 if nothing of the stamp would change, 2 if something would"],
    ["release diff 2.1.0 --from 2.0.3", "between two releases"],
  ],
  run: async (run) => {
    const { signal } = run.io;
    const { from, stamp } = run.options;
    const client = await run.client();
    const to = await findRelease(client, run.args[0] ?? "", signal);
    const before = from === undefined ? undefined : await findRelease(client, from, signal);
    const diff = await client.releaseDiff({
      params: { digest: to.digest },
      query: {
        ...(before === undefined ? {} : { from: before.digest }),
        ...(stamp === undefined ? {} : { stamp }),
      },
      signal,
    });
    run.emit(diff, () => diffText(diff));
    return diff.same ? exitCode.ok : exitCode.changes;
  },
});

const marks = { add: "+", update: "~", remove: "-" } as const;

function diffText({ from, to, stamp, same, changes }: ReleaseDiffView): string {
  const way = `from ${from.version} (${shortDigest(from.digest)}) to ${to.version} (${shortDigest(to.digest)})`;
  const of = stamp === undefined ? "" : `Stamp ${stamp} `;
  if (same) return `${of}${way}: nothing changes\n`;
  const lines = changes.flatMap(({ what, change, lines: fields }) => [
    `${marks[change]} ${what}`,
    ...fields.map((field) => `    ${field}`),
  ]);
  return `${of}${way}:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
