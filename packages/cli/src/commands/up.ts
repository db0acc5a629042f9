import { command, numberIn } from "../define.ts";
import { exitCode } from "../exit-codes.ts";
import { readManifestsChecked } from "../manifest-files.ts";
import { takeLock } from "../process/lock.ts";
import { findStateDir, makeStateDir } from "../state-dir.ts";
import { bringUp } from "../up/bring-up.ts";
import { viewFor } from "../up/follow.ts";
import { installServers } from "../up/servers.ts";
import { concludeRollout, followRollout, type Look } from "./rollout/follow-rollout.ts";
import { rolloutNode } from "./rollout/rollout-nodes.ts";
import { stampTable } from "./stamp/list.ts";

interface Options {
  readonly port?: number;
  readonly apiPort?: number;
  readonly adminPort?: number;
  readonly timeout: number;
  readonly allowInstall?: boolean;
}

export const up = command<Options>({
  usage: "up",
  summary: "Bring a fleet up on this machine: store, control plane, router, stamps",
  about:
    "Repeat it at will: it does only what is missing, also after Ctrl-C, a crash or a reboot. What changes of stamps that are there goes wave by wave, as a rollout.",
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option(
        "--port <number>",
        "where the router listens; 0 = any (default: as last time, or 8080)",
        portNumber("port"),
      )
      .option(
        "--api-port <number>",
        "where the control plane listens (default: as last time, or 4300)",
        portNumber("api-port"),
      )
      .option(
        "--admin-port <number>",
        "the router's admin listener (default: as last time, or 8081)",
        portNumber("admin-port"),
      )
      .option("--allow-install", "apt-get install Redis and NATS where they cannot be unpacked privately")
      .option("--timeout <seconds>", "how long to wait until all is active", numberIn("timeout", 1, 86_400), 300),
  examples: [
    ["up", "the fleet of ./fleet.yaml"],
    ["up -f examples/notes/fleet.yaml --port 0", "another file, on any free port"],
  ],
  run: async (run) => {
    const started = performance.now();
    const { file, port, apiPort, adminPort } = run.options;
    const manifests = await readManifestsChecked(run.io.cwd, file);
    const state = findStateDir(run.io, run.options);
    makeStateDir(state);
    await using _lock = await takeLock(state.lock, {
      doing: "stampyard up",
      timeoutMs: run.options.timeout * 1000,
      signal: run.io.signal,
      onWait: (holder) => run.say(`Waiting for \`${holder.doing}\`, process ${holder.pid}, since ${holder.since}`),
    });
    if (run.options.allowInstall === true) {
      await installServers({ say: (text) => run.say(text), signal: run.io.signal });
    }
    using view = viewFor(run);
    const fleet = await bringUp(run.io, {
      state,
      manifests: manifests.texts,
      ports: { api: apiPort, router: port, routerAdmin: adminPort },
      timeoutMs: run.options.timeout * 1000,
      again: `stampyard up -f ${file}`,
      show: (nodes) => view.show(nodes),
      follow: async (client, id, { timeoutMs, show }) => {
        const { isTTY: isLive } = run.io.err;
        const draw = ({ rollout, members }: Look) =>
          show([rolloutNode(rollout, members, { isLive, nowMs: Date.now() })]);
        const rollout = await followRollout(run, client, id, { timeoutMs, onChange: draw });
        if (rollout.phase !== "done") concludeRollout(run, rollout);
      },
    });
    const seconds = Number(((performance.now() - started) / 1000).toFixed(1));
    const result = {
      fleet: manifests.fleet,
      api: fleet.api,
      router: fleet.router,
      routerAdmin: fleet.routerAdmin,
      state: state.root,
      started: fleet.started,
      changes: fleet.plan.changes,
      stamps: fleet.stamps,
      seconds,
    };
    run.emit(result, () => {
      const head = `Fleet ${manifests.fleet} is up in ${seconds} s: router ${fleet.router}, API ${fleet.api}\n`;
      return `${head}\n${stampTable(fleet.stamps, false, Date.now())}`;
    });
    run.say(`\nNext: stampyard tenant create acme --wait`);
  },
});

function portNumber(name: string): (text: string) => number {
  return numberIn(name, 0, 65_535);
}
