import type { Client } from "../connection.ts";
import { command, numberIn, type Run } from "../define.ts";
import { type ExitCode, exitCode } from "../exit-codes.ts";
import { readManifestsChecked } from "../manifest-files.ts";
import { followStamps } from "../up/follow.ts";
import { waitForRouters } from "../up/served.ts";
import { planText } from "./plan.ts";
import { concludeRollout, followRollout } from "./rollout/follow-rollout.ts";

interface Options {
  readonly revision?: number;
  readonly wait?: boolean;
  readonly timeout?: number;
}

/** Without a rollout there is nothing to bake and nobody to ask. */
const stampsWithinS = 300;
const rolloutWithinS = 604_800;

export const applyCommand = command<Options>({
  usage: "apply",
  summary: "Record the files as the goal; the control plane makes it so",
  about:
    "Never removes a stamp: what the file does not name any more stays until it is destroyed by name. Release, parameters and capacity of stamps that are there change by a rollout, wave by wave; --wait follows it to its end.",
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option(
        "--revision <number>",
        "refuse if the fleet changed since the plan that printed it",
        numberIn("revision", 0, 2 ** 53),
      )
      .option("--wait", "return when every stamp runs it and every live router sends requests there")
      .option(
        "--timeout <seconds>",
        `how long to wait (default: ${stampsWithinS}, with a rollout a week)`,
        numberIn("timeout", 1, 2_592_000),
      ),
  examples: [
    ["apply -f fleet.yaml --wait", "apply, and watch until every stamp is active"],
    ["apply --revision 12", "only if nobody changed the fleet since revision 12 was planned"],
  ],
  run: async (run) => {
    const { texts } = await readManifestsChecked(run.io.cwd, run.options.file);
    const client = await run.client();
    const { revision } = run.options;
    const applied = await client.apply({
      body: { ...texts, ...(revision === undefined ? {} : { expectedFleetRevision: revision }) },
      signal: run.io.signal,
    });
    const { rollout, fleetRevision } = applied;
    if (run.options.wait !== true) {
      run.emit(applied, () => planText(applied.plan));
      run.say(`Applied as revision ${fleetRevision}. See how it goes: stampyard stamp list`);
      if (rollout !== undefined)
        run.say(`Rollout ${rollout} brings it to the stamps: stampyard rollout watch ${rollout}`);
      return exitCode.ok;
    }
    run.say(planText(applied.plan).trimEnd());
    const timeoutMs = (run.options.timeout ?? (rollout === undefined ? stampsWithinS : rolloutWithinS)) * 1_000;
    const deadline = performance.now() + timeoutMs;
    if (rollout !== undefined) {
      const code = await followToEnd(run, client, rollout, timeoutMs);
      if (code !== exitCode.ok) return code;
    }
    const again = "stampyard apply --wait";
    const left = () => Math.max(1_000, deadline - performance.now());
    await followStamps(run, client, { timeoutMs: left(), again });
    await waitForRouters(client, { timeoutMs: left(), again, signal: run.io.signal });
    run.emit(applied, () => `Applied revision ${fleetRevision}; every stamp runs it, and every live router knows\n`);
    return exitCode.ok;
  },
});

/** @throws CommandFailure as `concludeRollout` */
async function followToEnd(run: Run<Options>, client: Client, id: string, timeoutMs: number): Promise<ExitCode> {
  const rollout = await followRollout(run, client, id, { timeoutMs });
  return concludeRollout({ ...run, emit: () => undefined }, rollout);
}
