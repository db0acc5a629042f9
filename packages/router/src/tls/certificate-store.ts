import { type FSWatcher, watch } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { StampyardError } from "@stampyard/domain";
import { parseHost } from "../host.ts";
import type { Log } from "../log.ts";
import { type CertificatePair, readPair } from "./certificate-pair.ts";

/** Which certificate a host gets. */
export interface CertificateStore {
  /** The pair for a host: its own, else the one of its wildcard, else the default. Never throws, whatever a client sends. */
  lookup(serverName: string | undefined): CertificatePair | undefined;
  /** Pairs that are in use. */
  size(): number;
  /** Those in use that end first, the first one first; bounded, for metrics. */
  soonest(): readonly CertificateFacts[];
  /** Reads all files again; connections that stand keep what they have. What cannot be used is logged, and the old pair stays. */
  reload(): Promise<void>;
  /** Called after every change of the pairs. */
  onChange: (() => void) | undefined;
  close(): void;
}

export interface CertificateFacts {
  readonly pattern: string;
  /** Milliseconds since 1970. */
  readonly validUntil: number;
}

export interface CertificateStoreOptions {
  readonly folder: string;
  readonly log: Log;
  /** Wall time, milliseconds. */
  readonly now: () => number;
}

/** Both files of a pair, and a pair's two writes, are often a moment apart. */
const settleMs = 200;
const maxFileBytes = 256 * 1024;
const maxPairs = 10_000;
/** More rows would drown whoever reads metrics, and who has so many renews them by a program. */
const mostShown = 100;

/**
 * Opens the certificates of a folder: `<pattern>.crt` and `<pattern>.key`, where the pattern is a host, `*.` or
 * `_wildcard.` and a domain, or `default` for clients that name no host. Changes are taken up by themselves.
 * @throws StampyardError INVALID_REQUEST if the folder cannot be read; a pair that cannot be used is logged only
 */
export async function openCertificateStore(options: CertificateStoreOptions): Promise<CertificateStore> {
  const { folder, log } = options;
  let pairs: ReadonlyMap<string, CertificatePair> = new Map();
  let loading: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  let watcher: FSWatcher | undefined;

  async function load(): Promise<void> {
    const next = await readFolder(options, pairs);
    const changed = next.size !== pairs.size || [...next].some(([key, pair]) => pairs.get(key) !== pair);
    pairs = next;
    if (!changed) return;
    log("info", "certificates are loaded", { patterns: next.size });
    store.onChange?.();
  }
  const store: CertificateStore = {
    lookup: (serverName) => findPair(pairs, serverName),
    size: () => pairs.size,
    soonest: () =>
      [...pairs.values()]
        .map(({ pattern, validUntil }) => ({ pattern, validUntil }))
        .sort((a, b) => a.validUntil - b.validUntil)
        .slice(0, mostShown),
    reload() {
      loading = loading.then(load).catch((caught: unknown) => {
        log("error", "certificates cannot be read, the old ones stay", { problem: codeOf(caught) });
      });
      return loading;
    },
    onChange: undefined,
    close() {
      clearTimeout(timer);
      watcher?.close();
    },
  };
  try {
    await load();
    watcher = watch(folder, { persistent: false }, () => {
      clearTimeout(timer);
      timer = setTimeout(() => void store.reload(), settleMs);
      timer.unref();
    });
    watcher.on("error", (caught) => log("error", "certificates are not watched any more", { problem: codeOf(caught) }));
  } catch (caught) {
    throw new StampyardError("INVALID_REQUEST", `Certificates in ${folder} cannot be read`, {
      cause: caught,
      mend: "Name a folder with files <pattern>.crt and <pattern>.key that the router may read.",
    });
  }
  return store;
}

function findPair(pairs: ReadonlyMap<string, CertificatePair>, serverName: string | undefined) {
  const byDefault = pairs.get("default");
  if (serverName === undefined) return byDefault;
  const name = parseHost(serverName)?.name;
  if (name === undefined) return byDefault;
  // A wildcard stands for one label (RFC 9525 section 6.3).
  return pairs.get(name) ?? pairs.get(`*${name.slice(name.indexOf("."))}`) ?? byDefault;
}

/** All pairs of the folder; where one cannot be used the one before stays. */
async function readFolder(
  { folder, log, now }: CertificateStoreOptions,
  before: ReadonlyMap<string, CertificatePair>,
): Promise<ReadonlyMap<string, CertificatePair>> {
  const next = new Map<string, CertificatePair>();
  const files = (await readdir(folder)).filter((file) => file.endsWith(".crt")).sort();
  for (const file of files.slice(0, maxPairs)) {
    const stem = file.slice(0, -4);
    const pattern = patternOf(stem);
    const complain = (problem: string) => {
      const old = pattern === undefined ? undefined : before.get(pattern);
      if (pattern !== undefined && old !== undefined) next.set(pattern, old);
      log("error", "certificate is not used", {
        file,
        problem,
        kept: old === undefined ? "nothing" : "the one before",
      });
    };
    if (pattern === undefined) {
      complain("The file's name is not a host, _wildcard.<domain> or default");
      continue;
    }
    if (next.has(pattern)) {
      complain(`There are two files for ${pattern}`);
      continue;
    }
    try {
      const cert = await readBounded(join(folder, file), false);
      const key = await readBounded(join(folder, `${stem}.key`), true);
      const pair = readPair(pattern, cert, key, now());
      if (typeof pair === "string") complain(pair);
      else next.set(pattern, before.get(pattern)?.digest === pair.digest ? (before.get(pattern) ?? pair) : pair);
    } catch (caught) {
      complain(caught instanceof StampyardError ? caught.message : `A file cannot be read: ${codeOf(caught)}`);
    }
  }
  if (files.length > maxPairs) log("error", "certificates are too many", { most: maxPairs, found: files.length });
  return next;
}

function patternOf(stem: string): string | undefined {
  if (stem === "default") return stem;
  const wildcard = /^(?:\*|_wildcard)\.(.+)$/.exec(stem)?.[1];
  const host = parseHost(wildcard ?? stem);
  if (host === undefined || host.port !== undefined || host.name.startsWith("[")) return undefined;
  return wildcard === undefined ? host.name : `*.${host.name}`;
}

/** Mode and content of the same open file, so that nobody can change one between our looks at the two. */
async function readBounded(path: string, secret: boolean): Promise<string> {
  await using file = await open(path, "r");
  const { mode, size } = await file.stat();
  if (secret && (mode & 0o077) !== 0) {
    throw new StampyardError("INVALID_REQUEST", "The key can be read by others; its mode must be 0600");
  }
  if (size > maxFileBytes)
    throw new StampyardError("INVALID_REQUEST", "A file is too large to be a certificate or key");
  return file.readFile("utf8");
}

function codeOf(caught: unknown): string {
  return (caught as NodeJS.ErrnoException).code ?? "unknown";
}
