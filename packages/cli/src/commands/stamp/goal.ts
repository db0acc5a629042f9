import type { StampView } from "@stampyard/api";
import { command } from "../../define.ts";

interface Why {
  readonly reason?: string;
}

export const reasonOption = ["--reason <text>", "why, for the audit and for `stamp show`"] as const;
const bodyOf = ({ reason }: Why) => (reason === undefined ? {} : { reason });

export const stampCordon = command<Why>({
  usage: "cordon <stamp>",
  summary: "No new tenants on a stamp; undone by uncordon",
  about: "Those it has stay and are served as before.",
  completes: ["stamp"],
  options: (c) => c.option(...reasonOption),
  examples: [['stamp cordon shared-2 --reason "disk is slow"', "place new tenants elsewhere"]],
  run: async (run) => {
    const params = { name: run.args[0] ?? "" };
    const client = await run.client();
    const stamp = await client.stampCordon({ params, body: bodyOf(run.options), signal: run.io.signal });
    run.emit(stamp, () => `Stamp ${stamp.name} takes no new tenants; it keeps those it has (${placesOf(stamp)})\n`);
  },
});

export const stampUncordon = command<Why>({
  usage: "uncordon <stamp>",
  summary: "Let a stamp take new tenants again, after a cordon or a drain",
  completes: ["stamp"],
  options: (c) => c.option(...reasonOption),
  examples: [["stamp uncordon shared-2", "as if it had never been cordoned"]],
  run: async (run) => {
    const params = { name: run.args[0] ?? "" };
    const client = await run.client();
    const stamp = await client.stampUncordon({ params, body: bodyOf(run.options), signal: run.io.signal });
    run.emit(stamp, () => `Stamp ${stamp.name} takes new tenants again\n`);
  },
});

export const stampRetry = command<Why>({
  usage: "retry <stamp>",
  summary: "Try at once what failed and waits for its next attempt",
  completes: ["stamp"],
  options: (c) => c.option(...reasonOption),
  examples: [["stamp retry shared-3", "after its cause was mended"]],
  run: async (run) => {
    const params = { name: run.args[0] ?? "" };
    const client = await run.client();
    const stamp = await client.stampRetry({ params, body: bodyOf(run.options), signal: run.io.signal });
    run.emit(stamp, () => `Stamp ${stamp.name} is tried again now\n`);
    run.say(`See how it goes: stampyard stamp show ${stamp.name}`);
  },
});

/** A tenant may take several places. */
export function placesOf(stamp: Pick<StampView, "used">): string {
  return `${stamp.used.tenants} ${stamp.used.tenants === 1 ? "place" : "places"} taken`;
}
