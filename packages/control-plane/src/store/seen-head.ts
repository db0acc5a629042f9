import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import type { FeedPosition } from "@stampyard/directory";
import { StampyardError } from "@stampyard/domain";
import type { Store } from "./port.ts";

/** The newest head that this machine knows of, kept outside of the store: `<state>/head.json`. */
export interface SeenHead extends FeedPosition {
  readonly fleetId: string;
}

/** Undefined when there is none, or it cannot be read: then only the routers can tell. */
export function readSeenHead(file: string): SeenHead | undefined {
  try {
    const value = JSON.parse(readFileSync(file, "utf8")) as Partial<SeenHead>;
    const { fleetId, incarnation, version, chain } = value;
    if (typeof fleetId !== "string" || typeof chain !== "string") return undefined;
    if (!Number.isSafeInteger(incarnation) || !Number.isSafeInteger(version)) return undefined;
    return { fleetId, incarnation: Number(incarnation), version: Number(version), chain };
  } catch {
    return undefined;
  }
}

/** Replaces the file as a whole. */
export function writeSeenHead(file: string, head: SeenHead): void {
  const draft = `${file}.draft`;
  const fd = openSync(draft, "w", 0o600);
  try {
    writeSync(fd, `${JSON.stringify(head)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(draft, file);
}

export type HeadVerdict =
  | { readonly kind: "ok" }
  /** The store is older than what it once said: enter recovery before one version is served (I42, decision D9). */
  | { readonly kind: "rolled-back"; readonly why: string }
  | { readonly kind: "other-fleet"; readonly why: string };

/** Whether the store continues the history that this machine has seen. */
export async function judgeStoreHead(store: Pick<Store, "meta" | "directory">, seen: SeenHead): Promise<HeadVerdict> {
  const meta = await store.meta();
  if (meta.fleetId !== seen.fleetId) {
    return { kind: "other-fleet", why: `the store is of fleet ${meta.fleetId}, this machine served ${seen.fleetId}` };
  }
  const answer = await store.directory.changesAfter(seen, 1);
  if (answer.kind !== "diverged") return { kind: "ok" };
  const { incarnation, version } = answer.head;
  // A later incarnation has been through a recovery, which settled what is true.
  if (incarnation > seen.incarnation) return { kind: "ok" };
  const why = `the store is at version ${version} of incarnation ${incarnation}, and version ${seen.version} of incarnation ${seen.incarnation} was seen before`;
  return { kind: "rolled-back", why };
}

/** The file may lag: routers know newer heads, and a new version must not cost a sync of the disk each time. */
const noteMs = 1_000;

export interface HeadListener {
  onError(error: StampyardError): void;
  /** The store no longer continues what was noted: the file stays as it is, because it is the witness. */
  onSetBack?(why: string): void;
}

/**
 * Keeps the file at the head that the store says, at most once a second, while the store is normal.
 * @returns a function that ends it, after noting the head once more
 */
export function keepSeenHead(
  store: Pick<Store, "meta" | "directory" | "watch">,
  file: string,
  listener: HeadListener,
): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let noted = "";
  const note = async () => {
    timer = undefined;
    try {
      const { fleetId } = await store.meta();
      const { mode, incarnation, version, chain } = await store.directory.head();
      const seen = { fleetId, incarnation, version, chain };
      // While recovering, the file is what tells of the fork.
      if (mode === "recovering" || noted === JSON.stringify(seen)) return;
      const before = readSeenHead(file);
      const verdict = before === undefined ? undefined : await judgeStoreHead(store, before);
      if (verdict !== undefined && verdict.kind !== "ok") return listener.onSetBack?.(verdict.why);
      writeSeenHead(file, seen);
      noted = JSON.stringify(seen);
    } catch (error) {
      listener.onError(StampyardError.from(error));
    }
  };
  const soon = () => {
    timer ??= setTimeout(() => void note(), noteMs).unref();
  };
  const unwatch = store.watch((event) => {
    if (event.kind === "directory" || event.kind === "mode") soon();
  });
  soon();
  return async () => {
    unwatch();
    clearTimeout(timer);
    await note();
  };
}
