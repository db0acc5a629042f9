import { createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { command } from "../../define.ts";

export const controlplaneBackup = command({
  usage: "backup <file>",
  summary: "Save the control plane's store to a file",
  about:
    "Secrets of stamps stay sealed in it: keep secrets/master.key of the state directory apart from it, and keep both.",
  completes: ["file"],
  examples: [["controlplane backup notes-2026-11-22.backup", "written completely, or not at all"]],
  run: async (run) => {
    const file = resolve(run.io.cwd, run.args[0] ?? "");
    const client = await run.client();
    const body = await client.backup({ signal: run.io.signal });
    await writeBackup(Readable.fromWeb(body as never), file, run.io.signal);
    const { size } = await stat(file);
    run.emit({ file, bytes: size }, () => `Saved ${file}, ${size} bytes\n`);
    run.say("Bring it back with: stampyard controlplane restore FILE");
  },
});

/** Written completely, or not at all. */
export async function writeBackup(body: AsyncIterable<Uint8Array>, file: string, signal: AbortSignal): Promise<void> {
  const partial = `${file}.partial`;
  try {
    await pipeline(body, createWriteStream(partial, { mode: 0o600 }), { signal });
    await rename(partial, file);
  } finally {
    await rm(partial, { force: true });
  }
}
