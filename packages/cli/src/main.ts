import { enableCompileCache } from "node:module";
import { processIo } from "./io.ts";
import { runProgram } from "./program.ts";

enableCompileCache();

const ending = new AbortController();
let signals = 0;
const onSignal = (name: NodeJS.Signals) => {
  signals++;
  // The second one means: now.
  if (signals > 1) process.exit(name === "SIGINT" ? 130 : 143);
  ending.abort(name);
};
process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
const handOver = () => void process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
// `stampyard … | head` closes our output early; that is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
});

process.exitCode = await runProgram(process.argv.slice(2), processIo(ending.signal, handOver));
// Idle keep-alive connections and detached children must not hold the shell.
process.stdout.write("", () => process.exit());
