import { StampyardError } from "@stampyard/domain";
import { connectMover, type MoverDb } from "./connect.ts";
import { sqlStateOf } from "./sql.ts";

/** `view` is a second connection to the target, for its frozen view. */
export type SideName = "source" | "target" | "view";

/** The connections of one move: made at first need and again when one has died, so that a switch finds them open. */
export interface Sides extends AsyncDisposable {
  db(side: SideName): Promise<MoverDb>;
  /** Runs work that the signal ends at once, and says whose database did not answer. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Ends a connection; the next call makes a new one. */
  drop(side: SideName): void;
}

export function openSides(
  moveId: string,
  urls: Readonly<Record<"source" | "target", string>>,
  stamps: Readonly<Record<"source" | "target", string>>,
): Sides {
  const open = new Map<SideName, MoverDb>();
  const opening = new Map<SideName, Promise<MoverDb>>();
  const whose = (side: SideName) => stamps[side === "view" ? "target" : side];
  let isClosed = false;

  const connect = async (side: SideName): Promise<MoverDb> => {
    if (isClosed) throw new StampyardError("CANCELLED", `The move ${moveId} was closed`);
    try {
      const db = await connectMover(urls[side === "view" ? "target" : side], moveId);
      if (isClosed) db.destroy();
      open.set(side, db);
      return db;
    } catch (caught) {
      throw unreachable(whose(side), caught);
    } finally {
      opening.delete(side);
    }
  };
  const drop = (side: SideName) => {
    open.get(side)?.destroy();
    open.delete(side);
  };
  /** Whose connection was lost: its statement may say so a moment before the connection itself does. */
  const deadSide = async (caught: unknown): Promise<SideName | undefined> => {
    const until = performance.now() + (isLostConnection(caught) ? 500 : 0);
    for (;;) {
      const dead = [...open].find(([, db]) => !db.isOpen)?.[0];
      if (dead !== undefined || performance.now() >= until) return dead;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  return {
    async db(side) {
      const known = open.get(side);
      if (known?.isOpen === true) return known;
      const begun = opening.get(side) ?? connect(side);
      opening.set(side, begun);
      return await begun;
    },
    async run(signal, work) {
      signal.throwIfAborted();
      const end = () => {
        for (const side of open.keys()) drop(side);
      };
      signal.addEventListener("abort", end, { once: true });
      try {
        return await work();
      } catch (caught) {
        signal.throwIfAborted();
        const dead = await deadSide(caught);
        throw explained(caught, dead === undefined ? undefined : whose(dead));
      } finally {
        signal.removeEventListener("abort", end);
      }
    },
    drop,
    async [Symbol.asyncDispose]() {
      isClosed = true;
      const all = [...open.values()];
      open.clear();
      await Promise.all(all.map((db) => db[Symbol.asyncDispose]()));
    },
  };
}

function unreachable(stamp: string | undefined, cause: unknown): StampyardError {
  const which = stamp === undefined ? "A database of the move" : `The database of stamp ${stamp}`;
  return new StampyardError("STAMP_UNREACHABLE", `${which} does not answer`, {
    cause,
    mend: "The move goes on by itself when it does.",
  });
}

/** The driver says it in words, the operating system and streams in codes. */
function isLostConnection(caught: unknown): boolean {
  if (!(caught instanceof Error)) return false;
  const code = "code" in caught ? String(caught.code) : "";
  return (
    /^(08|57P|ECONN|EPIPE|ETIMEDOUT|ERR_STREAM)/.test(code) ||
    /Connection terminated|not queryable/.test(caught.message)
  );
}

/** What the database refused, in our words; its own message stays as the cause, for logs. */
function explained(caught: unknown, dead: string | undefined): unknown {
  if (caught instanceof StampyardError) return caught;
  const state = sqlStateOf(caught) ?? "";
  if (dead !== undefined || /^(08|57P)/.test(state) || isLostConnection(caught)) return unreachable(dead, caught);
  const message = caught instanceof Error ? caught.message : "";
  switch (state) {
    case "55P03":
    case "57014":
      return new StampyardError("TIMEOUT", `The move waited too long for a lock: ${message}`, { cause: caught });
    case "53100":
      return new StampyardError("DISK_FULL", `A database of the move has no room: ${message}`, { cause: caught });
    case "42501":
      return new StampyardError("CAPABILITY_MISSING", `The mover's role may not do that: ${message}`, {
        cause: caught,
      });
    case "23505":
    case "23503":
    case "23514":
    case "23502":
      return new StampyardError("MOVE_REFUSED", `The target refuses rows of the tenant: ${message}`, {
        cause: caught,
        mend: "Make the target's tables like the source's, and ids different in every stamp; then move again.",
      });
    case "":
      return caught;
    default:
      return new StampyardError("INTERNAL", `A statement of the move failed: ${message}`, { cause: caught });
  }
}
