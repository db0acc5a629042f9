import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { identify, type ProcessIdentity } from "@stampyard/engines/process";

/** Living processes, but this one, whose command line holds all of `texts`. */
export function processesWith(...texts: readonly string[]): readonly ProcessIdentity[] {
  return commandLines().flatMap(({ pid, line }) => {
    if (pid === process.pid || !texts.every((text) => line.includes(text))) return [];
    const identity = identify(pid);
    return identity === undefined ? [] : [identity];
  });
}

function commandLines(): readonly { readonly pid: number; readonly line: string }[] {
  return process.platform === "linux" ? fromProc() : fromPs();
}

function fromProc(): { pid: number; line: string }[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      // Each argument ends with a NUL, so each one in the line is followed by a space.
      return [{ pid: Number(entry), line: readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ") }];
    } catch {
      return []; // It ended while we looked.
    }
  });
}

function fromPs(): { pid: number; line: string }[] {
  const text = execFileSync("ps", ["-axww", "-o", "pid=,args="], { encoding: "utf8" });
  return text.split("\n").flatMap((row) => {
    const found = /^\s*(\d+)\s(.*)$/.exec(row);
    return found === null ? [] : [{ pid: Number(found[1]), line: `${found[2] ?? ""} ` }];
  });
}
