import { findComponent, type MoveCheck, type MoveProblem, type StampEngine } from "@stampyard/domain";
import type { MoveEnd } from "./move-ends.ts";

/** A tenant's values become rows and index entries, and the server's log has both of them once more. */
const timesValues = 3;
/** What a row costs beside its values: its head, and its place in indexes. */
const bytesPerRow = 100;
/** What the volume keeps for everything else that is written meanwhile. */
const keptBytes = 256 * 1024 ** 2;
/** Where nobody can tell what is free, a tenant of more values than this is worth a look. */
const muchBytes = 1024 ** 3;

/**
 * Adds to a check of a move whether its rows have room where the target's database lies. An engine that cannot tell, as for
 * databases of others, leaves that to a person.
 */
export async function checkSpace(
  engine: Pick<StampEngine, "freeBytes">,
  { name, stamp, spec }: MoveEnd,
  check: MoveCheck,
  signal: AbortSignal,
): Promise<MoveCheck> {
  const database = spec === undefined ? undefined : findComponent(spec.rendered, "postgres")[0];
  const isOurs = stamp?.origin === "built" && database !== undefined;
  const free = isOurs ? await engine.freeBytes?.(name, database.name, signal) : undefined;
  return withSpace(check, name, free);
}

/** @param free bytes; undefined = nobody can tell */
export function withSpace(check: MoveCheck, stamp: string, free: number | undefined): MoveCheck {
  const needed = check.bytes * timesValues + check.rows * bytesPerRow;
  const where = `database of stamp ${stamp}`;
  if (free === undefined) {
    if (check.bytes <= muchBytes) return check;
    const what = `is to take about ${inWords(needed)}, and nobody here can say what is free there`;
    return { ...check, warnings: [...check.warnings, mended({ where, what })] };
  }
  if (free >= needed + keptBytes) return check;
  const what = `has ${inWords(free)} free, and the move needs about ${inWords(needed)} and ${inWords(keptBytes)} to spare`;
  return { ...check, problems: [...check.problems, mended({ where, what })] };
}

function mended(found: Pick<MoveProblem, "where" | "what">): MoveProblem {
  return { ...found, mend: "Make room on its volume, or choose another stamp." };
}

function inWords(bytes: number): string {
  return bytes < 1024 ** 3 ? `${Math.ceil(bytes / 1024 ** 2)} MiB` : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
