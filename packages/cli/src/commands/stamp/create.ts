import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { followStamps } from "../../up/follow.ts";

interface Options {
  readonly name?: string;
  readonly region?: string;
  readonly param?: readonly string[];
  readonly overrideFreeze?: boolean;
  readonly reason?: string;
  readonly wait?: boolean;
  readonly timeout: number;
}

export const stampCreate = command<Options>({
  usage: "create <pool>",
  summary: "Make another stamp of a pool",
  completes: ["pool"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option("--name <name>", "its name (default: the pool's next free one)")
      .option("--region <name>", "its region (default: the pool's next in turn)")
      .option("--param <name=value...>", "a parameter of the template, on top of the pool's")
      .option("--override-freeze", "also while a freeze stops scaling; wants --reason")
      .option("--reason <text>", "why, for the audit")
      .option("--wait", "return when it is active")
      .option("--timeout <seconds>", "how long to wait", numberIn("timeout", 1, 86_400), 300),
  examples: [
    ["stamp create shared", "another stamp of the pool shared"],
    ["stamp create shared --region eu --wait", "in a named region, and wait until it serves"],
  ],
  run: async (run) => {
    const { name, region, param, overrideFreeze, reason } = run.options;
    const client = await run.client();
    const made = await client.stampCreate({
      body: {
        pool: run.args[0] ?? "",
        ...(name === undefined ? {} : { name }),
        ...(region === undefined ? {} : { region }),
        ...(param === undefined ? {} : { parameters: parseParameters(param) }),
        ...(overrideFreeze === true ? { overrideFreeze } : {}),
        ...(reason === undefined ? {} : { reason }),
      },
      signal: run.io.signal,
    });
    if (run.options.wait === true) {
      const stamps = new Set([made.name]);
      await followStamps(run, client, {
        timeoutMs: run.options.timeout * 1000,
        only: stamps,
        again: `stampyard stamp show ${made.name}`,
      });
    }
    const stamp = run.options.wait === true ? await client.stampGet({ params: { name: made.name } }) : made;
    run.emit(stamp, () => `Stamp ${stamp.name} of pool ${stamp.pool} in ${stamp.region} is ${stamp.phase}\n`);
    if (run.options.wait !== true) run.say(`See how it goes: stampyard stamp show ${stamp.name}`);
  },
});

/** `replicas=2`: numbers and booleans as such, everything else as text; quotes keep a number a text. */
export function parseParameters(pairs: readonly string[]): Record<string, string | number | boolean> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) {
        throw new CommandFailure("INVALID_REQUEST", `--param is ${JSON.stringify(pair)}`, {
          mend: "Write name=value.",
        });
      }
      return [pair.slice(0, at), parseValue(pair.slice(at + 1))];
    }),
  );
}

function parseValue(text: string): string | number | boolean {
  if (text === "true" || text === "false") return text === "true";
  if (/^-?\d+(?:\.\d+)?$/.test(text)) return Number(text);
  return /^"(.*)"$/s.exec(text)?.[1] ?? text;
}
