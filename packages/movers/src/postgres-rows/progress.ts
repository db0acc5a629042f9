import type { Clock, MoveProgress } from "@stampyard/domain";

/** No oftener than this, whatever the number of ranges. */
const betweenMs = 200;

export interface ProgressMeter {
  /** Adds what was just done and publishes it, if it is time. */
  add(done: ProgressStep): void;
}

export interface ProgressStep {
  readonly rows: number;
  readonly bytes: number;
  readonly table?: string;
  readonly tablesDone?: number;
  readonly lag?: number;
  readonly waitingOn?: string;
}

export interface ProgressOf {
  readonly step: MoveProgress["step"];
  readonly tables: number;
  /** Estimates. */
  readonly ofRows: number;
  readonly ofBytes: number;
}

/** Counts one step of a move. Its rate is that of the whole step, so that one slow range does not scare anybody. */
export function createMeter(
  clock: Clock,
  of: ProgressOf,
  publish: ((progress: MoveProgress) => void) | undefined,
): ProgressMeter {
  const began = clock.now();
  let lastAt = -Infinity;
  let rows = 0;
  let bytes = 0;
  return {
    add(done) {
      rows += done.rows;
      bytes += done.bytes;
      const now = clock.now();
      if (publish === undefined || now - lastAt < betweenMs) return;
      lastAt = now;
      const seconds = Math.max(1, now - began) / 1_000;
      const ofRows = Math.max(of.ofRows, rows);
      publish({
        step: of.step,
        ...(done.table === undefined ? {} : { table: done.table }),
        tablesDone: done.tablesDone ?? 0,
        tables: of.tables,
        rows,
        bytes,
        ofRows,
        ofBytes: Math.max(of.ofBytes, bytes),
        rowsPerSecond: Math.round(rows / seconds),
        ...(rows > 0 ? { etaMs: Math.round(((ofRows - rows) / rows) * seconds * 1_000) } : {}),
        ...(done.lag === undefined ? {} : { lag: done.lag }),
        ...(done.waitingOn === undefined ? {} : { waitingOn: done.waitingOn }),
      });
    },
  };
}
