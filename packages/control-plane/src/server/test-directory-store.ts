import { createHash } from "node:crypto";
import { chainStart, type DirectoryChange, type FeedPosition, nextChain } from "@stampyard/directory";
import type { ChangesAnswer, DirectoryVersionRow, Store, StoreEvent, StoreMode } from "../store/port.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

interface World {
  mode: StoreMode;
  incarnation: number;
  /** Versions below it are not kept. */
  forgotten: number;
  confirmedVersion: number;
  /** Snapshots that are open now. */
  open: number;
  /** Reasons for which recovery was entered. */
  entered: string[];
}

/** Versions in memory, with the answers that a store gives about them. */
function createHistory(world: World) {
  const rows: DirectoryVersionRow[] = [];

  const head = (): FeedPosition => {
    const last = rows.at(-1);
    if (last === undefined) return { incarnation: world.incarnation, version: 0, chain: chainStart };
    return { incarnation: last.incarnation, version: last.version, chain: last.chain };
  };

  function add(change: DirectoryChange): void {
    const before = head();
    const chain = nextChain(before.chain, change, sha256);
    rows.push({ incarnation: world.incarnation, version: before.version + 1, chain, change, at: 0 });
  }

  function changesAfter(position: FeedPosition, limit = 1_000): ChangesAnswer {
    if (position.version === 0) {
      return rows.length === 0 ? { kind: "changes", changes: [], head: head() } : { kind: "snapshot", head: head() };
    }
    const own = rows[position.version - 1];
    if (own === undefined || own.chain !== position.chain) return { kind: "diverged", head: head() };
    if (position.version < world.forgotten) return { kind: "snapshot", head: head() };
    return { kind: "changes", changes: rows.slice(position.version, position.version + limit), head: head() };
  }

  async function snapshot() {
    const puts = new Map<string, DirectoryChange>();
    for (const { change } of rows) {
      if (change.kind === "stamp-put") puts.set(`a/${change.stamp}`, change);
      if (change.kind === "routing-put") puts.set("b", change);
      if (change.kind === "tenant-put") puts.set(`c/${change.tenant}`, change);
      if (change.kind === "tenant-remove") puts.delete(`c/${change.tenant}`);
    }
    const sorted = [...puts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, change]) => change);
    world.open++;
    return {
      position: head(),
      entries: sorted.length,
      confirmedVersion: world.confirmedVersion,
      pages: (async function* () {
        for (let at = 0; at < sorted.length; at += 2_000) yield sorted.slice(at, at + 2_000);
      })(),
      [Symbol.asyncDispose]: async () => {
        world.open--;
      },
    };
  }

  return { rows, head, add, changesAfter, snapshot };
}

/** What the feed reads of a store, with a hand on everything that can happen to it. */
export function createDirectoryStore() {
  const world: World = {
    mode: "normal",
    incarnation: 1,
    forgotten: 0,
    confirmedVersion: 0,
    open: 0,
    entered: [],
  };
  const { rows, head, add, changesAfter, snapshot } = createHistory(world);
  const keys = new Map<string, { kid: string; secret: string; state: "current" }[]>();
  const listeners = new Set<(event: StoreEvent) => void>();
  const seen: object[] = [];
  const tell = (event: StoreEvent) => {
    for (const listener of listeners) listener(event);
  };

  const store = {
    directory: {
      head: async () => ({ ...head(), mode: world.mode, confirmedVersion: world.confirmedVersion, pending: 0 }),
      changesAfter: async (position: FeedPosition, limit?: number) => changesAfter(position, limit),
      snapshot,
    },
    stamps: { allRouteKeys: async () => keys },
    routers: { seen: async (router: object) => void seen.push(router) },
    recovery: { enter: async (reason: string) => void world.entered.push(reason) },
    watch(listener: (event: StoreEvent) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  } as unknown as Store;

  return {
    store,
    world,
    rows,
    seen,
    head,
    tell,
    listeners,
    commit(...changes: DirectoryChange[]) {
      for (const change of changes) add(change);
      tell({ kind: "directory", head: head() });
    },
    setKeys(stamp: string, ...kids: string[]) {
      keys.set(
        stamp,
        kids.map((kid) => ({ kid, secret: "A".repeat(43), state: "current" as const })),
      );
      tell({ kind: "keys", stamp });
    },
    setMode(mode: StoreMode) {
      world.mode = mode;
      tell({ kind: "mode", mode });
    },
  };
}
