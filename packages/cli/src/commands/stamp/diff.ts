import { command } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { table } from "../../output/table.ts";

export const stampDiff = command({
  usage: "diff <stamp>",
  summary: "Compare what a stamp runs with what its release says",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.changes, exitCode.interrupted],
  examples: [["stamp diff shared-1", "exit code 0 if it is what it should be, 2 if not"]],
  run: async (run) => {
    const client = await run.client();
    const diff = await client.stampDiff({ params: { name: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit(diff, () => {
      if (diff.same) return `Stamp ${diff.stamp} is what its release says\n`;
      return table(
        ["component", "change", "why"],
        diff.changes.map((c) => [c.component, c.change, c.why]),
      );
    });
    return diff.same ? exitCode.ok : exitCode.changes;
  },
});
