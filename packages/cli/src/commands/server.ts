import { pathToFileURL } from "node:url";
import { command } from "../define.ts";
import { findStateDir } from "../state-dir.ts";
import { entryOf } from "../up/services.ts";

export const server = command<{ listen?: string; restored?: boolean }>({
  usage: "server",
  summary: "Run the control plane in the foreground, for containers and service managers",
  about:
    "`stampyard up` starts it by itself. The store is DATABASE_URL, or a PostgreSQL of its own in the state directory. A state directory belongs to one control plane: one that stands by has its own, and the same DATABASE_URL.",
  options: (c) =>
    c
      .option("--listen <host:port>", "where it listens (env STAMPYARD_LISTEN; default 127.0.0.1:4300)")
      .option("--restored", "the store was restored: learn from stamps and routers before changing anything"),
  examples: [
    ["server --state /var/lib/stampyard/notes", "until SIGTERM"],
    ["server --restored", "after DATABASE_URL was restored from a backup"],
  ],
  run: async (run) => {
    const state = findStateDir(run.io, run.options);
    process.env["STAMPYARD_STATE"] = state.root;
    if (run.options.listen !== undefined) process.env["STAMPYARD_LISTEN"] = run.options.listen;
    if (run.options.restored === true) process.env["STAMPYARD_RESTORED"] = "1";
    await becomeProcess(run.io.handOver, entryOf("@stampyard/control-plane/main"));
  },
});

/** This process becomes the other: its main has the signals and the exit code from here on. */
export async function becomeProcess(handOver: () => void, entry: string): Promise<never> {
  handOver();
  await import(pathToFileURL(entry).href);
  return await new Promise<never>(() => undefined);
}
