import { type FencingToken, StampyardError } from "@stampyard/domain";
import type { Log } from "../reconcilers/turn.ts";
import type { Store } from "../store/port.ts";
import { judgeStoreHead, keepSeenHead, readSeenHead } from "../store/seen-head.ts";

export interface HeadGuardOptions {
  readonly store: Store;
  /** Where this machine notes the newest head it knows of. */
  readonly file: string;
  readonly log: Log;
  /** Somebody restored the store and says so. */
  readonly isRestored: boolean;
}

/** Sees to it that a store which was set back serves no version before a recovery (I42, decision D9). */
export interface HeadGuard {
  /** Why no version may be served yet. */
  whyHeld(): string | undefined;
  /** Begins the recovery that is due. @returns whether it did, and with it ended this term */
  beginRecovery(token: FencingToken): Promise<boolean>;
  /** Notes heads from here on, and watches that the store keeps to them. */
  watch(token: () => FencingToken | undefined): void;
  close(): Promise<void>;
}

/** @throws StampyardError WRONG_PHASE when the store belongs to another fleet than this machine has served */
export async function openHeadGuard({ store, file, log, isRestored }: HeadGuardOptions): Promise<HeadGuard> {
  let held = await whyRecover(store, file);
  if (isRestored) held ??= "restored from a backup";
  let endNotes = async () => {};

  async function begin(why: string, token: FencingToken): Promise<boolean> {
    const isBegun = (await store.meta()).mode === "recovering";
    if (!isBegun) {
      log.warn({ why }, "the store was set back: recovering");
      const incarnationAtLeast = (readSeenHead(file)?.incarnation ?? 0) + 1;
      await store.recovery.enter(why, { actor: "system", token }, { newTerm: true, incarnationAtLeast });
    }
    held = undefined;
    return !isBegun;
  }

  return {
    whyHeld: () => held,
    async beginRecovery(token) {
      // A standby may have waited for long: what it found at its start need not be so now.
      held ??= await whyRecover(store, file);
      return held === undefined ? false : await begin(held, token);
    },
    watch(token) {
      endNotes = keepSeenHead(store, file, {
        onError: (error) => log.warn({ code: error.code, err: error }, "the head of the directory could not be noted"),
        onSetBack(why) {
          held ??= why;
          const present = token();
          if (present === undefined) return;
          begin(why, present).catch((caught: unknown) => log.error({ err: caught }, "a recovery could not begin"));
        },
      });
    },
    close: () => endNotes(),
  };
}

async function whyRecover(store: Store, file: string): Promise<string | undefined> {
  const seen = readSeenHead(file);
  if (seen === undefined) return undefined;
  const verdict = await judgeStoreHead(store, seen);
  if (verdict.kind === "ok") return undefined;
  if (verdict.kind === "rolled-back") return verdict.why;
  throw new StampyardError("WRONG_PHASE", `This is another fleet's store: ${verdict.why}`, {
    mend: `Use the store of this state directory, or restore a backup of it; remove ${file} only to serve the other fleet from here on.`,
  });
}
