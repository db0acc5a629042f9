import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { takeLock, tryLock } from "./lock.ts";

test("tryLock() is refused while the lock is held, here and in another process, and free after kill -9", async () => {
  const dir = mkdtempSync(join(tmpdir(), "stampyard-lock-test-"));
  const path = join(dir, "x.lock");
  try {
    {
      using mine = tryLock(path);
      expect(mine).toBeDefined();
      expect(tryLock(path)).toBeUndefined();
    }
    const program = `
      const { tryLock } = await import(${JSON.stringify(join(import.meta.dirname, "../../dist/local/lock.js"))});
      globalThis.lock = tryLock(${JSON.stringify(path)});
      console.log(globalThis.lock !== undefined);
      setInterval(() => {}, 1000);
    `;
    const other = spawn(process.execPath, ["--input-type=module", "-e", program], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = (await once(other.stdout, "data")) as [Buffer];
    expect(said.toString().trim()).toBe("true");
    expect(tryLock(path)).toBeUndefined();
    await expect(takeLock(path, AbortSignal.timeout(50))).rejects.toThrow();
    other.kill("SIGKILL");
    await once(other, "exit");
    using again = tryLock(path);
    expect(again).toBeDefined();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
