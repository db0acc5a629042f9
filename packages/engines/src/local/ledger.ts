import { existsSync, mkdirSync } from "node:fs";
import { connect, createServer } from "node:net";
import { dirname, join } from "node:path";
import { type FencingToken, StampyardError } from "@stampyard/domain";
import { readJson, writeWhole } from "./file.ts";
import { takeLock } from "./lock.ts";
import { isRoot } from "./places.ts";

/** Ports are below the ephemeral range (32768 on Linux), so that no outgoing connection takes one. */
export const defaultPortRange = { from: 21_000, to: 29_999 } as const;
const firstUid = 64_100;
const lastUid = 65_500;

export interface PortRange {
  readonly from: number;
  readonly to: number;
}

interface Entry {
  readonly stateDir: string;
  readonly stamp: string;
  readonly uid?: number;
  /** `<component>.<replica>` → port. */
  readonly ports: Readonly<Record<string, number>>;
}

interface LedgerContent {
  readonly entries: readonly Entry[];
  /** Where the search for a port goes on: a freed port rests before somebody else gets it. */
  readonly nextPort: number;
  /** Highest fencing token per state directory; outlives its stamps. */
  readonly tokens: Readonly<Record<string, FencingToken>>;
}

/** Who uses which uid and port on this machine, over all state directories of this user. */
export interface Ledger {
  readonly file: string;
  readonly range: PortRange;
}

/** Own numeric user of a stamp; undefined when we are not root. */
export async function uidOf(ledger: Ledger, stateDir: string, stamp: string): Promise<number | undefined> {
  if (!isRoot) return undefined;
  return change(ledger, async (content) => {
    const entry = entryOf(content, stateDir, stamp);
    if (entry.uid !== undefined) return { content, result: entry.uid };
    const taken = new Set(content.entries.map((other) => other.uid));
    let uid = firstUid;
    while (taken.has(uid)) uid++;
    if (uid > lastUid) throw new StampyardError("INTERNAL", `All user ids from ${firstUid} to ${lastUid} are in use`);
    return { content: withEntry(content, { ...entry, uid }), result: uid };
  });
}

/** The recorded port under this key, or a new one that is free now. */
export async function portOf(ledger: Ledger, stateDir: string, stamp: string, key: string): Promise<number> {
  return change(ledger, async (content) => {
    const entry = entryOf(content, stateDir, stamp);
    const known = entry.ports[key];
    if (known !== undefined) return { content, result: known };
    const port = await findFreePort(ledger.range, content);
    const ports = { ...entry.ports, [key]: port };
    return { content: { ...withEntry(content, { ...entry, ports }), nextPort: port + 1 }, result: port };
  });
}

export async function freePort(ledger: Ledger, stateDir: string, stamp: string, key: string): Promise<void> {
  await change(ledger, async (content) => {
    const entry = entryOf(content, stateDir, stamp);
    const { [key]: _, ...ports } = entry.ports;
    return { content: withEntry(content, { ...entry, ports }), result: undefined };
  });
}

/** Forgets a stamp's uid and ports. */
export async function release(ledger: Ledger, stateDir: string, stamp: string): Promise<void> {
  await change(ledger, async (content) => ({
    content: { ...content, entries: content.entries.filter((e) => !isOf(e, stateDir, stamp)) },
    result: undefined,
  }));
}

/** Remembers the highest token. @throws StampyardError STALE_LEADER */
export async function checkToken(ledger: Ledger, stateDir: string, token: FencingToken): Promise<void> {
  await change(ledger, async (content) => {
    const seen = content.tokens[stateDir] ?? 0;
    if (token < seen) throw staleLeader(token, seen);
    if (token === seen) return { content, result: undefined };
    return { content: { ...content, tokens: { ...content.tokens, [stateDir]: token } }, result: undefined };
  });
}

/** The highest token that a state directory's stamps have seen; 0 if none. */
export function lastToken(ledger: Ledger, stateDir: string): FencingToken {
  return readJson<LedgerContent>(ledger.file)?.tokens[stateDir] ?? 0;
}

/** Who leads is decided in the store: with the store gone, the next leader counts from 1 again. */
export async function forgetTokens(ledger: Ledger, stateDirs: readonly string[]): Promise<void> {
  await change(ledger, async (content) => {
    const tokens = Object.entries(content.tokens).filter(([stateDir]) => !stateDirs.includes(stateDir));
    return { content: { ...content, tokens: Object.fromEntries(tokens) }, result: undefined };
  });
}

export function staleLeader(token: FencingToken, seen: FencingToken): StampyardError {
  return new StampyardError("STALE_LEADER", `Fencing token ${token} is older than ${seen}, which was seen already`, {
    mend: "Let the control plane that leads now do this.",
  });
}

/** Whether nobody listens on the loopback port. */
export async function isPortFree(port: number): Promise<boolean> {
  if (await answers(port)) return false;
  return new Promise((settle) => {
    const server = createServer();
    server.once("error", () => settle(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => settle(true)));
  });
}

/** A listener on another address of the machine (0.0.0.0) does not stop a bind everywhere, so we also knock. */
function answers(port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => {
      socket.destroy();
      settle(true);
    });
    socket.once("error", () => settle(false));
  });
}

async function findFreePort(range: PortRange, content: LedgerContent): Promise<number> {
  const taken = new Set(content.entries.flatMap((entry) => Object.values(entry.ports)));
  const size = range.to - range.from + 1;
  const start = content.nextPort >= range.from && content.nextPort <= range.to ? content.nextPort : range.from;
  for (let n = 0; n < size; n++) {
    const port = range.from + ((start - range.from + n) % size);
    if (!taken.has(port) && (await isPortFree(port))) return port;
  }
  throw new StampyardError("PORT_TAKEN", `No port from ${range.from} to ${range.to} is free`, {
    mend: "Destroy stamps that you do not need, or give the engine another port range.",
  });
}

async function change<T>(
  ledger: Ledger,
  edit: (content: LedgerContent) => Promise<{ content: LedgerContent; result: T }>,
): Promise<T> {
  mkdirSync(dirname(ledger.file), { recursive: true, mode: isRoot ? 0o711 : 0o700 });
  using _lock = await takeLock(`${ledger.file}.lock`);
  const before = readJson<LedgerContent>(ledger.file) ?? { entries: [], nextPort: ledger.range.from, tokens: {} };
  const { content, result } = await edit(before);
  if (content !== before) writeWhole(ledger.file, JSON.stringify(withoutLost(content)), { durable: true });
  return result;
}

/** A state directory that was removed by hand takes its entries along. */
function withoutLost(content: LedgerContent): LedgerContent {
  const tokens = Object.entries(content.tokens).filter(([stateDir]) => existsSync(stateDir));
  return {
    ...content,
    entries: content.entries.filter((entry) => existsSync(join(entry.stateDir))),
    tokens: Object.fromEntries(tokens),
  };
}

function isOf(entry: Entry, stateDir: string, stamp: string): boolean {
  return entry.stateDir === stateDir && entry.stamp === stamp;
}

function entryOf(content: LedgerContent, stateDir: string, stamp: string): Entry {
  return content.entries.find((entry) => isOf(entry, stateDir, stamp)) ?? { stateDir, stamp, ports: {} };
}

function withEntry(content: LedgerContent, entry: Entry): LedgerContent {
  const others = content.entries.filter((other) => !isOf(other, entry.stateDir, entry.stamp));
  return { ...content, entries: [...others, entry] };
}
