import { link, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { randomBytes } from "node:crypto";
import { CommandFailure } from "../failure.ts";
import { asIdentity, identify, isAlive, type ProcessIdentity } from "@stampyard/engines/process";
import { waitFor } from "./wait.ts";

export interface LockHolder extends ProcessIdentity {
  /** What it is doing, e.g. `up`. */
  readonly doing: string;
  /** ISO 8601. */
  readonly since: string;
}

export interface LockOptions {
  readonly doing: string;
  /** How long to wait for a living holder. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Called once when somebody else holds it. */
  readonly onWait?: (holder: LockHolder) => void;
}

export interface Lock extends AsyncDisposable {
  release(): Promise<void>;
}

/**
 * A lock that survives kill -9 of its holder. `folder` holds numbered files; the highest number is the present one.
 * Whoever finds it free or its holder dead makes the next number with link(2), which only one can do. The highest file is
 * never removed, only lower ones: so a contender that was asleep since it looked cannot make a number anew unnoticed;
 * it finds a higher one when it looks again, and gives way.
 *
 * @throws CommandFailure LOCKED when the holder outlives the timeout
 */
export async function takeLock(folder: string, options: LockOptions): Promise<Lock> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  let told = false;
  let last: LockHolder | undefined;
  const number = await waitFor(
    async () => {
      const present = await readHighest(folder);
      if (present.holder !== undefined && isAlive(present.holder)) {
        last = present.holder;
        if (!told) options.onWait?.(present.holder);
        told = true;
        return undefined;
      }
      return await tryNumber(folder, present.number + 1, options.doing);
    },
    { timeoutMs: options.timeoutMs, signal: options.signal, everyMs: 100 },
  );
  if (number === undefined) throw lockedBy(last);
  return makeLock(folder, number);
}

function lockedBy(holder: LockHolder | undefined): CommandFailure {
  const who =
    holder === undefined ? "another process" : `\`${holder.doing}\`, process ${holder.pid} since ${holder.since}`;
  return new CommandFailure("LOCKED", `This fleet is being changed by ${who}`, {
    mend: "Wait until it ends, or end it with Ctrl-C where it runs, then try again.",
  });
}

function makeLock(folder: string, number: number): Lock {
  let held = true;
  const release = async () => {
    if (!held) return;
    held = false;
    const scratch = join(folder, `free-${process.pid}-${randomBytes(6).toString("hex")}`);
    // The folder may be gone: `down --destroy` removes the state it stands in.
    await writeFile(scratch, "{}").then(
      () => rename(scratch, join(folder, `${number}.json`)),
      () => undefined,
    );
  };
  return { release, [Symbol.asyncDispose]: release };
}

async function tryNumber(folder: string, number: number, doing: string): Promise<number | undefined> {
  const me = identify(process.pid);
  if (me === undefined) throw new CommandFailure("INTERNAL", "Cannot read the start time of this process");
  const holder: LockHolder = { ...me, doing, since: new Date().toISOString() };
  const scratch = join(folder, `try-${process.pid}-${randomBytes(6).toString("hex")}`);
  const mine = join(folder, `${number}.json`);
  await writeFile(scratch, JSON.stringify(holder), { mode: 0o600 });
  try {
    await link(scratch, mine);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return undefined;
    throw error;
  } finally {
    await rm(scratch, { force: true });
  }
  const numbers = await numbersIn(folder);
  if (Math.max(...numbers) > number) {
    await rm(mine, { force: true });
    return undefined;
  }
  for (const old of numbers) if (old < number) await rm(join(folder, `${old}.json`), { force: true });
  return number;
}

async function readHighest(folder: string): Promise<{ number: number; holder: LockHolder | undefined }> {
  const number = Math.max(0, ...(await numbersIn(folder)));
  const text = await readFile(join(folder, `${number}.json`), "utf8").catch(() => "{}");
  return { number, holder: asHolder(text) };
}

/** A file that is empty or damaged holds nobody: every file is complete before it gets its name. */
function asHolder(text: string): LockHolder | undefined {
  try {
    const value = JSON.parse(text) as Record<string, unknown>;
    const identity = asIdentity(value);
    if (identity === undefined) return undefined;
    return { ...identity, doing: String(value["doing"] ?? "?"), since: String(value["since"] ?? "?") };
  } catch {
    return undefined;
  }
}

async function numbersIn(folder: string): Promise<number[]> {
  const names = await readdir(folder);
  return names.flatMap((name) => (/^\d+\.json$/.test(name) ? [Number.parseInt(name, 10)] : []));
}
