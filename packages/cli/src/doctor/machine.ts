import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { availableParallelism, freemem, totalmem } from "node:os";
import { dirname } from "node:path";
import { isPortFree } from "../process/ports.ts";
import { readRecorded, type StateDir } from "../state-dir.ts";
import { defaultPorts } from "../up/services.ts";
import { type Check, look } from "./check.ts";

const mib = 1024 * 1024;
/** A stamp of the example takes about this much disk when new, three of them and the caches a little more. */
const wantedDiskMib = 1024;

/** What this machine offers, whatever runs on it. */
export async function examineMachine(state: StateDir | undefined): Promise<readonly Check[]> {
  const checks = [await look("node", nodeVersion), await look("platform", platform), await look("memory", memory)];
  if (state === undefined) return checks;
  const folder = nearestExisting(state.root);
  checks.push(await look("state directory", async () => writable(state.root, folder)));
  checks.push(await look("disk", async () => disk(folder)));
  checks.push(await look("router port", async () => await port(defaultPorts.router, state.routerFile, "--port")));
  checks.push(await look("API port", async () => await port(defaultPorts.api, state.controlPlaneFile, "--api-port")));
  return checks;
}

async function nodeVersion(): Promise<Omit<Check, "name">> {
  const version = process.versions.node;
  if (Number(version.split(".")[0]) >= 24) return { level: "ok", found: `${version} at ${process.execPath}` };
  return { level: "fail", found: version, mend: "Run through `npm run stampyard --`, or install Node 24." };
}

async function platform(): Promise<Omit<Check, "name">> {
  const found = `${process.platform} ${process.arch}`;
  if (process.platform === "linux" || process.platform === "darwin") return { level: "ok", found };
  return { level: "fail", found, mend: "Use Linux, macOS, or Linux in WSL2 on Windows." };
}

async function memory(): Promise<Omit<Check, "name">> {
  const free = Math.round(freemem() / mib);
  const found = `${free} MiB free of ${Math.round(totalmem() / mib)}, ${availableParallelism()} CPUs`;
  if (free >= 512) return { level: "ok", found };
  return { level: "warn", found, mend: "Three stamps of the example take about 500 MiB." };
}

function nearestExisting(path: string): string {
  let at = path;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  return at;
}

function writable(root: string, folder: string): Omit<Check, "name"> {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch {
    return { level: "fail", found: `${root} cannot be written by this user`, mend: "Choose another with --state." };
  }
  return { level: "ok", found: folder === root ? root : `${root} (will be made)` };
}

function disk(folder: string): Omit<Check, "name"> {
  const stat = statfsSync(folder);
  const free = Math.round((stat.bavail * stat.bsize) / mib);
  const found = `${free} MiB free`;
  if (free >= wantedDiskMib) return { level: "ok", found };
  return { level: free < 200 ? "fail" : "warn", found, mend: "Free some space: a new stamp takes about 60 MiB." };
}

async function port(number: number, recordFile: string, flag: string): Promise<Omit<Check, "name">> {
  const recorded = readRecorded(recordFile);
  if (recorded?.alive === true) return { level: "ok", found: `ours: ${recorded.url}` };
  if (await isPortFree(number)) return { level: "ok", found: `${number} is free` };
  return {
    level: "warn",
    found: `${number} is taken by another program`,
    mend: `Choose another with \`stampyard up ${flag} 0\`.`,
  };
}
