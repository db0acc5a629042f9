import type { StampDiffView } from "@stampyard/api";
import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { fields, table } from "../../output/table.ts";

export const stampDiff = command({
  usage: "diff <stamp>",
  summary: "Compare what a stamp runs with what its release says",
  about:
    "Looks at every part as it is now: its digest, its processes, what they were started with. Whether the control plane mends a difference by itself is for its pool to say (automation.drift).",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.changes, exitCode.interrupted],
  examples: [["stamp diff shared-1", "exit code 0 if it is what it should be, 2 if not"]],
  run: async (run) => {
    const client = await run.client();
    const diff = await client.stampDiff({ params: { name: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit(diff, () => diffText(diff));
    return diff.same ? exitCode.ok : exitCode.changes;
  },
});

export function diffText(diff: StampDiffView): string {
  const { stamp, changes, goalDigest, observedDigest, drift, observation } = diff;
  if (diff.same) return `Stamp ${stamp} is what its release says\n`;
  const sick = observation.components.filter(({ status }) => status !== "healthy" && status !== "done");
  const facts = fields([
    ["Should be", goalDigest],
    [
      "Is",
      observedDigest === goalDigest ? "the same digest, with parts that differ" : (observedDigest ?? "not whole yet"),
    ],
    ["Host", observation.host],
    ["Not healthy", sick.map(({ name, status, reason }) => `${name} ${reason ?? status}`).join("; ")],
    ["Drift", drift === undefined ? undefined : policy[drift]],
  ]);
  const parts = table(
    ["component", "change", "why"],
    changes.map((change) => [change.component, change.change, change.why]),
  );
  return `Stamp ${stamp} differs from its release\n\n${facts}${changes.length === 0 ? "" : `\n${parts}`}`;
}

const policy = {
  report: "reported and left alone; `automation: { drift: heal }` in its pool mends it",
  heal: "mended by itself, within a minute or so",
} as const;
