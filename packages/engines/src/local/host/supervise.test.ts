import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rotateLogs } from "./supervise.ts";

test("rotateLogs() copies a grown log aside and empties it under its writer", () => {
  const dir = mkdtempSync(join(tmpdir(), "stampyard-rotate-test-"));
  try {
    const log = join(dir, "api.0.log");
    writeFileSync(log, "x".repeat(100));
    writeFileSync(join(dir, "small.0.log"), "y");
    rotateLogs(dir, 50);
    appendFileSync(log, "after");
    expect([readFileSync(`${log}.1`, "utf8").length, readFileSync(log, "utf8")]).toEqual([100, "after"]);
    expect(readFileSync(join(dir, "small.0.log"), "utf8")).toBe("y");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
