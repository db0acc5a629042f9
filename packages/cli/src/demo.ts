import { parseArgs } from "node:util";
import { openStage, exampleFleetFile } from "./demo/stage.ts";
import { runLive } from "./demo/live.ts";
import { runOnce } from "./demo/once.ts";
import { judgeDemo, reportText } from "./demo/report.ts";
import { watchParent } from "./demo/watch-parent.ts";
import { type ExitCode, exitCode } from "./exit-codes.ts";
import { describeFailure, formatFailure } from "./failure.ts";
import { type Io, processIo } from "./io.ts";
import { viewFor } from "./up/follow.ts";
import { installServers } from "./up/servers.ts";

const usage = `Usage: npm run demo [-- options]

Three real stamps of examples/notes on this machine, tenants, traffic, and keys to break things.

  --once           no terminal needed: move a tenant under load, kill the control plane, then
                   a stamp, check who notices and that no write is lost, print a report
  -o json          the report as JSON (with --once)
  --port <number>  where the router listens (default: 8080, or another if it is taken)
  --allow-install  apt-get install Redis and NATS where they cannot be unpacked privately (CI=true allows it too)
  -h, --help       this help

Exit codes:
  0    --once: everything held; else: ended by a key
  1    something did not hold, or an error
  130  ended by Ctrl-C (nothing is left behind)
`;

interface DemoArguments {
  readonly once: boolean;
  readonly json: boolean;
  readonly port: number;
  readonly allowInstall: boolean;
}

function readArguments(argv: readonly string[]): DemoArguments | "help" {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      once: { type: "boolean", default: false },
      output: { type: "string", short: "o", default: "table" },
      port: { type: "string", default: "8080" },
      "allow-install": { type: "boolean", default: process.env["CI"] === "true" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const port = Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RangeError(`--port is ${JSON.stringify(values.port)}`);
  if (values.output !== "table" && values.output !== "json") throw new RangeError("-o is table or json");
  return { once: values.once, json: values.output === "json", port, allowInstall: values["allow-install"] };
}

async function demo(args: DemoArguments, io: Io, quit: () => void): Promise<ExitCode> {
  const startedAt = performance.now();
  const say = (text: string) => {
    if (!args.json) io.err.write(`${text}\n`);
  };
  say(args.once ? "Stampyard demo, once" : "Stampyard demo: Ctrl-C ends it and leaves nothing behind");
  if (args.allowInstall) await installServers({ say, signal: io.signal });
  using view = viewFor({ io, options: { output: args.json ? "json" : "table" } });
  await using stage = await openStage({
    io,
    fleetFile: exampleFleetFile(),
    port: args.port,
    timeoutMs: 240_000,
    show: (nodes) => view.show(nodes),
    say: (text) => view.note(text),
  });
  view[Symbol.dispose]();
  if (!args.once) {
    await runLive({ stage, io, quit });
    say("Stopping everything");
    return exitCode.ok;
  }
  const report = await runOnce({ stage, startedAt, signal: io.signal, say });
  const verdict = judgeDemo(report);
  io.out.write(
    args.json ? `${JSON.stringify({ ...report, ...verdict }, undefined, 2)}\n` : `\n${reportText(report, verdict)}`,
  );
  return verdict.held ? exitCode.ok : exitCode.error;
}

async function main(): Promise<ExitCode> {
  const ending = new AbortController();
  let asked = 0;
  const onSignal = (name: NodeJS.Signals) => {
    asked++;
    // Cleaning up takes seconds; only the third says: never mind what is left.
    if (asked > 2) process.exit(exitCode.error);
    ending.abort(name);
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal).on("SIGHUP", onSignal);
  const io = processIo(ending.signal, () => undefined);
  let args: ReturnType<typeof readArguments>;
  try {
    args = readArguments(process.argv.slice(2));
  } catch (error) {
    io.err.write(`error: ${(error as Error).message}\n\n${usage}`);
    return exitCode.error;
  }
  if (args === "help") {
    io.out.write(usage);
    return exitCode.ok;
  }
  watchParent(() => ending.abort("SIGTERM"));
  let quit = false;
  try {
    const code = await demo(args, io, () => {
      quit = true;
      ending.abort("SIGINT");
    });
    return ending.signal.aborted && !quit ? interruption(ending.signal) : code;
  } catch (error) {
    if (quit) return exitCode.ok;
    if (ending.signal.aborted) return interruption(ending.signal);
    io.err.write(formatFailure(describeFailure(error)));
    return exitCode.error;
  }
}

function interruption(signal: AbortSignal): ExitCode {
  return signal.reason === "SIGINT" ? exitCode.interrupted : exitCode.terminated;
}

process.exitCode = await main();
process.exit();
