import { rename, stat } from "node:fs/promises";

const everyMs = 2_000;

/**
 * Moves a log that has grown to `maxBytes` to `<path>.1`, over the one that is there, and tells the writers. A write that
 * is on its way still goes to the moved file, so nothing is lost; the file may be larger than the limit by what two
 * seconds write. Two files are kept: who wants more moves them himself and sends SIGHUP.
 */
export function rotateBySize(path: string, maxBytes: number, reopen: () => void): { close(): void } {
  let looking = false;
  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    void look(path, maxBytes, reopen).finally(() => {
      looking = false;
    });
  }, everyMs);
  timer.unref();
  return { close: () => clearInterval(timer) };
}

async function look(path: string, maxBytes: number, reopen: () => void): Promise<void> {
  try {
    const { size } = await stat(path);
    if (size < maxBytes) return;
    await rename(path, `${path}.1`);
    reopen();
  } catch {
    // No log yet, or a folder that we may not write to: the log grows on, which its size shows.
  }
}
