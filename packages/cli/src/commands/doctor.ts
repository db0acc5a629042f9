import { command } from "../define.ts";
import { type Check, worst } from "../doctor/check.ts";
import { examineEngine } from "../doctor/engine.ts";
import { examineFleet } from "../doctor/fleet.ts";
import { examineMachine } from "../doctor/machine.ts";
import { exitCode } from "../exit-codes.ts";
import type { Style } from "../output/style.ts";
import { findStateDir, type StateDir } from "../state-dir.ts";

export const doctor = command({
  usage: "doctor",
  summary: "Examine this machine and what runs on it, and say what to mend",
  about: "Says for each limit whether this machine enforces it or it is only advisory. Changes nothing.",
  examples: [
    ["doctor", "everything; exit code 1 if something must be mended"],
    ["doctor -o json", "for a report"],
  ],
  run: async (run) => {
    const remote = run.options.server ?? run.io.env["STAMPYARD_API"];
    const state = remote === undefined || remote === "" ? stateDir(run) : undefined;
    const checks = [
      ...(await examineMachine(state)),
      ...(await examineEngine()),
      ...(state === undefined && (remote === undefined || remote === "")
        ? []
        : await examineFleet(run.io, state, run.client, Date.now())),
    ];
    const level = worst(checks);
    run.emit({ level, checks }, () => checks.map((check) => line(check, run.style)).join(""));
    if (state === undefined && remote === undefined)
      run.say("No fleet file here: looked at the machine only (name a fleet with -f or --state)");
    return level === "fail" ? exitCode.error : exitCode.ok;
  },
});

function stateDir(run: {
  io: { env: Readonly<Record<string, string | undefined>>; cwd: string };
  options: { state?: string; file: string };
}): StateDir | undefined {
  try {
    return findStateDir(run.io, run.options);
  } catch {
    return undefined;
  }
}

function line(check: Check, style: Style): string {
  const word = { ok: style.good("ok  "), warn: style.warn("warn"), fail: style.bad("fail") }[check.level];
  const mend = check.mend === undefined ? "" : `\n        try: ${check.mend}`;
  return `${word}  ${style.bold(check.name)}: ${check.found}${mend}\n`;
}
