import { command, numberIn } from "../define.ts";
import { exitCode } from "../exit-codes.ts";
import { readManifestsChecked } from "../manifest-files.ts";
import { followStamps } from "../up/follow.ts";
import { waitForRouters } from "../up/served.ts";
import { planText } from "./plan.ts";

interface Options {
  readonly revision?: number;
  readonly wait?: boolean;
  readonly timeout: number;
}

export const applyCommand = command<Options>({
  usage: "apply",
  summary: "Record the files as the goal; the control plane makes it so",
  about: "Never removes a stamp: what the file does not name any more stays until it is destroyed by name.",
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option(
        "--revision <number>",
        "refuse if the fleet changed since the plan that printed it",
        numberIn("revision", 0, 2 ** 53),
      )
      .option("--wait", "return when every stamp runs it and every live router sends requests there")
      .option("--timeout <seconds>", "how long to wait", numberIn("timeout", 1, 86_400), 300),
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
    if (run.options.wait === true) {
      run.say(planText(applied.plan).trimEnd());
      const deadline = performance.now() + run.options.timeout * 1000;
      const again = "stampyard apply --wait";
      await followStamps(run, client, { timeoutMs: run.options.timeout * 1000, again });
      const timeoutMs = Math.max(1_000, deadline - performance.now());
      await waitForRouters(client, { timeoutMs, again, signal: run.io.signal });
    }
    run.emit(applied, () =>
      run.options.wait === true
        ? `Applied revision ${applied.fleetRevision}; every stamp runs it, and every live router knows\n`
        : planText(applied.plan),
    );
    if (run.options.wait !== true)
      run.say(`Applied as revision ${applied.fleetRevision}. See how it goes: stampyard stamp list`);
  },
});
