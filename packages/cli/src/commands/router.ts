import { command } from "../define.ts";
import { findStateDir, readRecorded } from "../state-dir.ts";
import { defaultPorts, entryOf, routerEnv } from "../up/services.ts";
import { becomeProcess } from "./server.ts";

export const routerCommand = command<{ listen?: string; admin?: string }>({
  usage: "router",
  summary: "Run a router in the foreground, for containers and service managers",
  about: "`stampyard up` starts one by itself. It serves from its own disk copy when the control plane is away.",
  options: (c) =>
    c
      .option("--listen <host:port>", "where tenants' requests come in (default 127.0.0.1:8080)")
      .option("--admin <host:port>", "where its metrics and explanations are (default 127.0.0.1:8081)"),
  examples: [["router --server http://127.0.0.1:4300 --token-file router.token", "until SIGTERM"]],
  run: async (run) => {
    const state = findStateDir(run.io, run.options);
    const controlPlane = run.options.server ?? run.io.env["STAMPYARD_API"] ?? readRecorded(state.controlPlaneFile)?.url;
    const env = routerEnv(state, controlPlane ?? `http://127.0.0.1:${defaultPorts.api}`, defaultPorts);
    // What the environment says wins over what we would guess; what the command line says wins over both.
    for (const [name, value] of Object.entries(env)) process.env[name] ??= value;
    if (run.options.listen !== undefined) process.env["STAMPYARD_ROUTER_LISTEN"] = run.options.listen;
    if (run.options.admin !== undefined) process.env["STAMPYARD_ROUTER_ADMIN"] = run.options.admin;
    if (run.options.tokenFile !== undefined) process.env["STAMPYARD_TOKEN_FILE"] = run.options.tokenFile;
    await becomeProcess(run.io.handOver, entryOf("@stampyard/router/main"));
  },
});
