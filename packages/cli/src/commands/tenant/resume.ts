import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { requirePhase } from "./suspend.ts";

interface Options {
  readonly reason?: string;
  readonly timeout: number;
}

export const tenantResume = command<Options>({
  usage: "resume <tenant>",
  summary: "Serve a suspended tenant again",
  completes: ["tenant"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option("--reason <text>", "why, for the audit")
      .option("--timeout <seconds>", "how long to wait until it is served", numberIn("timeout", 0, 100), 30),
  examples: [["tenant resume acme", "returns when every live router sends requests to it again"]],
  run: async (run) => {
    const key = run.args[0] ?? "";
    const { reason, timeout } = run.options;
    const client = await run.client();
    const query = { wait: timeout * 1_000, ...(reason === undefined ? {} : { reason }) };
    const tenant = await client.tenantResume({ params: { key }, query, signal: run.io.signal });
    run.emit(
      tenant,
      () => `Tenant ${key} is ${tenant.phase}${tenant.stamp === undefined ? "" : ` on ${tenant.stamp}`}\n`,
    );
    return requirePhase(tenant, "active", timeout);
  },
});
