import { chmod, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Client } from "@stampyard/api";
import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import { readManifestsChecked } from "../manifest-files.ts";
import type { ProgressNode } from "../output/progress-tree.ts";
import { processesWith } from "../process/find.ts";
import { asIdentity, identify, isAlive, signalProcess } from "@stampyard/engines/process";
import { freePort } from "../process/ports.ts";
import { waitFor } from "../process/wait.ts";
import { type StateDir, stateDirAt } from "../state-dir.ts";
import { type BroughtUp, bringUp, waitForLead } from "../up/bring-up.ts";
import { ensureControlPlane } from "../up/services.ts";
import { takeDown } from "../up/take-down.ts";

/** A whole fleet in a directory of its own, that is gone afterwards. */
export interface Stage extends AsyncDisposable {
  readonly state: StateDir;
  readonly ports: { readonly api: number; readonly router: number; readonly routerAdmin: number };
  readonly fleet: BroughtUp;
  readonly client: Client;
  restartControlPlane(): Promise<void>;
}

export interface StageOptions {
  readonly io: Pick<Io, "fetch" | "signal" | "env">;
  readonly fleetFile: string;
  /** Wanted for the router; another is taken when somebody has it. */
  readonly port: number;
  readonly timeoutMs: number;
  readonly show: (nodes: readonly ProgressNode[]) => void;
  readonly say: (text: string) => void;
}

const prefix = "stampyard-demo-";
const ownerFile = "owner.json";

/** Opens the stage; on any failure what was begun is removed before the failure is told. */
export async function openStage(options: StageOptions): Promise<Stage> {
  await sweepStages(options.say);
  const root = await mkdtemp(join(tmpdir(), prefix));
  await writeFile(join(root, ownerFile), JSON.stringify(identify(process.pid)));
  // Stamps run under users of their own where we are root; they pass through, and see nothing.
  await chmod(root, 0o711);
  const state = stateDirAt(join(root, "notes"));
  try {
    const ports = await choosePorts(options);
    const { texts } = await readManifestsChecked(dirname(options.fleetFile), options.fleetFile);
    const { io, timeoutMs, show } = options;
    const fleet = await bringUp(io, { state, manifests: texts, ports, timeoutMs, again: "npm run demo", show });
    return {
      state,
      ports,
      fleet,
      client: fleet.client,
      restartControlPlane: async () => {
        await ensureControlPlane(io, state, ports.api, timeoutMs);
        await waitForLead(fleet.client, timeoutMs, io.signal);
      },
      [Symbol.asyncDispose]: async () => await removeStage(root, options.say),
    };
  } catch (error) {
    options.say("Removing what was begun");
    await removeStage(root, () => undefined);
    throw error;
  }
}

async function choosePorts(options: StageOptions): Promise<Stage["ports"]> {
  const router = await freePort(options.port);
  if (router !== options.port) options.say(`Port ${options.port} is taken, so the router listens on ${router}`);
  return {
    router,
    routerAdmin: await freePort(router === options.port ? options.port + 1 : 0),
    api: await freePort(4300),
  };
}

/** Everything below the directory stops and goes, whatever state it is in. */
async function removeStage(root: string, say: (text: string) => void): Promise<void> {
  // Cleaning up must not be cut short by the Ctrl-C that asked for it.
  const signal = AbortSignal.timeout(60_000);
  const state = stateDirAt(join(root, "notes"));
  await takeDown({ state, destroy: true, signal, say }).catch((error: Error) =>
    say(`While removing: ${error.message}`),
  );
  const left = processesWith(`${root}/`);
  for (const identity of left) signalProcess(identity, "SIGKILL");
  await waitFor(() => (left.some(isAlive) ? undefined : true), { timeoutMs: 5_000, signal });
  await rm(root, { recursive: true, force: true });
}

/** A demo that was killed could not clean up: the next one does it. */
async function sweepStages(say: (text: string) => void): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const root = join(tmpdir(), name);
    let owner: ReturnType<typeof asIdentity>;
    try {
      owner = asIdentity(JSON.parse(readFileSync(join(root, ownerFile), "utf8")));
    } catch {
      continue; // Another user's, or one that is just being made.
    }
    if (owner === undefined || isAlive(owner)) continue;
    say(`Removing what a killed demo left in ${root}`);
    await removeStage(root, () => undefined);
  }
}

/** `examples/notes/fleet.yaml` of this checkout. */
export function exampleFleetFile(): string {
  const file = fileURLToPath(new URL("../../../../examples/notes/fleet.yaml", import.meta.url));
  if (existsSync(file)) return file;
  throw new CommandFailure("NOT_FOUND", `The example application is not at ${file}`, {
    mend: "Run the demo in a checkout of the repository.",
  });
}
