import { StampyardError } from "@stampyard/domain";
import { readControlPlaneConfig } from "./config.ts";
import { createLog, describeError } from "./log.ts";
import { type RunningControlPlane, startControlPlane } from "./start.ts";

/** A close that takes longer than this is cut: everything that matters is in the store already. */
const closeWithinMs = 10_000;

async function main(): Promise<void> {
  const config = readControlPlaneConfig(process.env);
  const log = createLog(config.logLevel);
  // Child processes and logs of them have no use for these.
  delete process.env["STAMPYARD_MASTER_KEY"];
  delete process.env["DATABASE_URL"];

  let running: RunningControlPlane | undefined;
  let isEnding = false;
  const end = (signal: string) => {
    if (isEnding) return;
    isEnding = true;
    log.info({ signal }, "control plane ends; stamps go on");
    setTimeout(() => process.exit(1), closeWithinMs).unref();
    const closed = running?.close() ?? Promise.resolve();
    closed.then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on("SIGTERM", () => end("SIGTERM"));
  process.on("SIGINT", () => end("SIGINT"));
  // A bug must not leave half a process that still answers: ending is safe at any line, and loud.
  process.on("unhandledRejection", (reason) => {
    log.fatal({ err: reason }, "unhandled rejection");
    process.exit(70);
  });
  running = await startControlPlane(config, { log });
}

main().catch((caught: unknown) => {
  const text = caught instanceof RangeError ? caught.message : explain(caught);
  process.stderr.write(`${text}\n`);
  process.exit(1);
});

function explain(caught: unknown): string {
  if (caught instanceof StampyardError && caught.code !== "INTERNAL") {
    // The form that the command line prints, so that `up` can pass it on as it is.
    const head = `error: ${caught.message} [${caught.code}]`;
    return caught.mend === undefined ? head : `${head}\n  try: ${caught.mend}`;
  }
  return `Cannot start the control plane: ${JSON.stringify(describeError(caught))}`;
}
