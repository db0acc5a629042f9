import type { TenantView } from "@stampyard/api";
import { command, numberIn } from "../../define.ts";
import { type ExitCode, exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";

interface Options {
  readonly reason: string;
  readonly timeout: number;
}

export const tenantSuspend = command<Options>({
  usage: "suspend <tenant>",
  summary: "Stop a tenant where it is; undone by resume",
  about:
    "Routers answer 403 at once and end its open connections, then its stamp refuses it as well. Its place, its data and its hostnames stay.",
  completes: ["tenant"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .requiredOption("--reason <text>", "why, for the audit and for `tenant show`")
      .option("--timeout <seconds>", "how long to wait until nobody serves it", numberIn("timeout", 0, 100), 30),
  examples: [['tenant suspend acme --reason "invoice 4711 is unpaid"', "stop it; tenant resume acme undoes it"]],
  run: async (run) => {
    const key = run.args[0] ?? "";
    const { reason, timeout } = run.options;
    const client = await run.client();
    const query = { wait: timeout * 1_000 };
    const tenant = await client.tenantSuspend({ params: { key }, query, body: { reason }, signal: run.io.signal });
    run.emit(tenant, () => `Tenant ${key} is ${tenant.phase}\n`);
    return requirePhase(tenant, "suspended", timeout);
  },
});

/** Exit code 0, or a failure that says what it still waits for; without a time to wait there is no failure. */
export function requirePhase(tenant: TenantView, phase: TenantView["phase"], timeout: number): ExitCode {
  if (tenant.phase === phase || timeout === 0) return exitCode.ok;
  const why = tenant.waitingOn ?? tenant.cause ?? "no cause known";
  throw new CommandFailure("TIMEOUT", `Tenant ${tenant.key} is ${tenant.phase}: ${why}`, {
    mend: `It is worked on; look again with \`stampyard tenant show ${tenant.key}\`.`,
    exit: exitCode.notReady,
  });
}
