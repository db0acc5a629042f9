import type { FleetCheckView } from "@stampyard/api";
import { command } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";

export const fleetCheck = command({
  usage: "check",
  summary: "Compare all stamps, and show what two of them share",
  about:
    "Looks at what stamps are described to be and at what they really have: databases, caches, queues, credentials (by a keyed hash), directories, users, ports, endpoints, and addresses outside. Exit code 1 if anything is shared; what is only outside, or advisory on this machine, is told.",
  exits: [exitCode.ok, exitCode.error, exitCode.interrupted],
  examples: [
    ["fleet check", "exit code 0 if no stamp shares anything with another"],
    ["fleet check -o json", "the findings for a pipeline"],
  ],
  run: async (run) => {
    const client = await run.client();
    const report = await client.fleetCheck({ signal: run.io.signal });
    run.emit(report, () => checkText(report));
    return codeOf(report);
  },
});

export const stampCheck = command({
  usage: "check <stamp>",
  summary: "Show what a stamp shares with others, and what it uses outside",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.interrupted],
  examples: [["stamp check shared-1", "exit code 1 if it shares anything"]],
  run: async (run) => {
    const client = await run.client();
    const report = await client.fleetCheck({ query: { stamp: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit(report, () => checkText(report));
    return codeOf(report);
  },
});

function codeOf(report: FleetCheckView): ExitCode {
  return report.findings.some((finding) => finding.verdict === "shared") ? exitCode.error : exitCode.ok;
}

export function checkText({ stamps, findings, unseen }: FleetCheckView): string {
  const shared = findings.filter((finding) => finding.verdict === "shared").length;
  const head =
    shared === 0
      ? `${count(stamps, "stamp")} share nothing\n`
      : `${count(shared, "thing")} shared by ${stamps} stamps\n`;
  const told = findings.map(
    ({ verdict, kind, what, stamps: names, where, mend }) =>
      `\n${verdict}: ${kind} ${what}\n  stamps: ${names.join(", ")}\n  found in: ${where.join(", ")}\n  mend: ${mend}\n`,
  );
  const blind = unseen.map(({ stamp, why }) => `\nnot looked at: ${stamp}, ${why}\n`);
  return [head, ...told, ...blind].join("");
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
