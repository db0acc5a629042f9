import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandFailure } from "../failure.ts";
import { isPortFree } from "../process/ports.ts";
import type { StateDir } from "../state-dir.ts";

/**
 * Where this fleet's services listened last. A control plane that comes back elsewhere would be lost to its router, and
 * addresses that people wrote down should stay right.
 */
export interface Addresses {
  readonly api?: number;
  readonly router?: number;
  readonly routerAdmin?: number;
  /** Control plane that the running router was told to follow. */
  readonly routerFollows?: string;
}

export function readAddresses(state: StateDir): Addresses {
  try {
    return JSON.parse(readFileSync(fileOf(state), "utf8")) as Addresses;
  } catch {
    return {};
  }
}

export function rememberAddresses(state: StateDir, more: Addresses): void {
  const draft = `${fileOf(state)}.${process.pid}`;
  writeFileSync(draft, JSON.stringify({ ...readAddresses(state), ...more }));
  renameSync(draft, fileOf(state));
}

function fileOf(state: StateDir): string {
  return join(state.root, "addresses.json");
}

export interface PortChoice {
  /** What the caller asked for; 0 = any, undefined = no wish. */
  readonly wanted: number | undefined;
  readonly last: number | undefined;
  readonly fallback: number;
  /** A port that is taken by processes of ours, who will hand it over. */
  readonly ours?: number | undefined;
  readonly service: string;
  readonly flag: string;
}

/**
 * The port to listen on: the wanted one; without a wish, or if any will do, the last one; else the usual one.
 *
 * @throws CommandFailure PORT_TAKEN
 */
export async function choosePort(choice: PortChoice): Promise<number> {
  const { wanted, last, fallback, ours, service, flag } = choice;
  const isFree = async (port: number) => port === ours || (await isPortFree(port));
  const anyWillDo = wanted === undefined || wanted === 0;
  if (anyWillDo && last !== undefined && (await isFree(last))) return last;
  const port = wanted ?? fallback;
  if (port === 0 || (await isFree(port))) return port;
  throw new CommandFailure("PORT_TAKEN", `Port ${port} for the ${service} is taken by another program`, {
    mend: `Choose another with ${flag}, or ${flag} 0 for any free one.`,
  });
}

export function portOf(url: string | undefined): number | undefined {
  return url === undefined ? undefined : Number(new URL(url).port) || undefined;
}
