import type { StampView } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { waitFor } from "../../process/wait.ts";

interface Why {
  readonly reason?: string;
}

const reasonOption = ["--reason <text>", "why, for the audit and for `stamp show`"] as const;
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

interface DrainOptions extends Why {
  readonly deadline?: string;
  readonly message?: string;
  readonly wait?: boolean;
  readonly timeout: number;
}

export const stampDrain = command<DrainOptions>({
  usage: "drain <stamp>",
  summary: "No new tenants on a stamp, and those it has are to leave; undone by uncordon",
  about:
    "A tenant leaves when it is moved or deleted; nothing moves it by itself yet. The stamp says who is still there, serves them, and is empty after the last one. Then it can be destroyed without force.",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option(...reasonOption)
      .option("--deadline <when>", "when it should have ended: 30m, 12h, 7d, or a time such as 2027-01-31T18:00:00Z")
      .option("--message <text>", "for the people of the tenants that leave")
      .option("--wait", "return when it is empty")
      .option("--timeout <seconds>", "how long to wait", numberIn("timeout", 1, 604_800), 600),
  examples: [
    ['stamp drain shared-2 --deadline 7d --reason "old disks"', "say who has to leave, and by when"],
    ["stamp drain shared-2 --wait", "and return after the last one"],
  ],
  run: async (run) => {
    const name = run.args[0] ?? "";
    const { deadline, message, wait, timeout } = run.options;
    const client = await run.client();
    const asked = await client.stampDrain({
      params: { name },
      body: {
        ...bodyOf(run.options),
        ...(deadline === undefined ? {} : { deadline: readDeadline(deadline, Date.now()) }),
        ...(message === undefined ? {} : { message }),
      },
      signal: run.io.signal,
    });
    let stamp = asked;
    if (wait === true) {
      const look = async () => {
        stamp = await client.stampGet({ params: { name }, signal: run.io.signal });
        return stamp.phase === "empty" ? true : undefined;
      };
      const isEmpty = await waitFor(look, { timeoutMs: timeout * 1_000, signal: run.io.signal, everyMs: 250 });
      if (isEmpty !== true) {
        throw new CommandFailure("TIMEOUT", `Stamp ${name} waits for ${stamp.waitingOn ?? "its tenants to leave"}`, {
          mend: `Move or delete them, or take it back with \`stampyard stamp uncordon ${name}\`.`,
          exit: exitCode.notReady,
        });
      }
    }
    run.emit(stamp, () =>
      wait === true
        ? `Stamp ${name} is empty\n`
        : `Stamp ${name} drains: its tenants are to leave (${placesOf(stamp)})\n`,
    );
    if (wait !== true) run.say(`See who is still there: stampyard stamp show ${name}`);
  },
});

/** A tenant may take several places. */
function placesOf(stamp: Pick<StampView, "used">): string {
  return `${stamp.used.tenants} ${stamp.used.tenants === 1 ? "place" : "places"} taken`;
}

const unitMs: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** From now on, or a time. */
export function readDeadline(text: string, nowMs: number): string {
  const [, count, unit] = /^([0-9]{1,5})([mhd])$/.exec(text) ?? [];
  const at = count === undefined ? Date.parse(text) : nowMs + Number(count) * (unitMs[unit ?? ""] ?? 0);
  if (Number.isFinite(at) && at > nowMs) return new Date(at).toISOString();
  throw new CommandFailure("INVALID_REQUEST", `--deadline is ${JSON.stringify(text)}`, {
    mend: "Give a time to come: 30m, 12h, 7d, or 2027-01-31T18:00:00Z.",
  });
}
