import { StampyardError } from "@stampyard/domain";
import { readRouterConfig } from "./config.ts";
import { stderrLog } from "./log.ts";
import { startRouter } from "./router.ts";
import { runtimeProblem } from "./runtime.ts";

/** The router process. Exit code 0 after SIGTERM or SIGINT, 1 when it cannot start. */
async function main(): Promise<void> {
  const problem = runtimeProblem(process.versions.node);
  if (problem !== undefined) {
    throw new StampyardError("INVALID_REQUEST", problem, { mend: "Start it with the Node that npm installs here." });
  }
  const router = await startRouter(readRouterConfig(process.env));
  process.on("SIGHUP", () => {
    // Whoever moves the access log away says so; at a terminal it means that the terminal is gone.
    if (process.stderr.isTTY) process.kill(process.pid, "SIGTERM");
    else router.reopenLogs();
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => {
      // A second signal ends it at once, as Node does by default.
      void router.close().then(() => process.exit(0));
    });
  }
}

main().catch((caught: unknown) => {
  const error = StampyardError.from(caught);
  const problems = error.problems.map(({ path, message, mend }) => ({ path, message, mend }));
  stderrLog("error", error.message, { code: error.code, mend: error.mend, problems, cause: causeOf(error) });
  process.exit(1);
});

function causeOf(error: StampyardError): string | undefined {
  return error.cause instanceof Error ? error.cause.message : undefined;
}
