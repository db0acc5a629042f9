import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runLine } from "../../test-io.ts";

const notes = join(dirname(fileURLToPath(import.meta.url)), "../../../../../examples/notes");
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-template-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const run = (argv: readonly string[], cwd = notes) => runLine(["template", ...argv], { cwd });

describe("template validate", () => {
  test("takes the example, alone and with its fleet", async () => {
    expect(await run(["validate"])).toMatchObject({ code: 0, err: "" });
    const both = await run(["validate", "--fleet", "fleet.yaml", "-o", "json"]);
    expect(JSON.parse(both.out)).toMatchObject({ valid: true, fleet: "notes" });
  });

  test("shows every problem with line, caret and mend, and ends with 1", async () => {
    writeFileSync(
      join(dir, "stamp.yaml"),
      "apiVersion: stampyard.dev/v1alpha1\nkind: StampTemplate\nmetadata: { name: Notes, version: 1.0.0 }\ncomponents: { db: { kind: postgrs } }\n",
    );
    const { code, out, err } = await run(["validate"], dir);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/stamp\.yaml:3:19 .*"Notes"/);
    expect(err).toMatch(/stamp\.yaml:4:27 .*\n.*\n +\^\n.*Did you mean "postgres"\?/);
    expect(err).toMatch(/error: \d+ problems in stamp\.yaml \[INVALID_MANIFEST\]\n$/);
    const json = await run(["validate", "-o", "json"], dir);
    expect(JSON.parse(json.err).error).toMatchObject({ code: "INVALID_MANIFEST", problems: expect.any(Array) });
  });

  test("refuses a file that is missing, too large, or a directory, without a stack", async () => {
    writeFileSync(join(dir, "large.yaml"), "#".repeat(1024 * 1024 + 1));
    symlinkSync("/dev/zero", join(dir, "endless.yaml"));
    for (const [file, code] of [
      ["missing.yaml", "NOT_FOUND"],
      ["large.yaml", "PAYLOAD_TOO_LARGE"],
      [".", "NOT_FOUND"],
      ["endless.yaml", "NOT_FOUND"],
    ] as const) {
      const ran = await run(["validate", file], dir);
      expect(ran.code).toBe(1);
      expect(ran.err).toContain(`[${code}]`);
      expect(ran.err).not.toContain("    at ");
    }
  });
});

test("template render gives one stamp's digest, whatever the machine, and another for another stamp", async () => {
  const digestOf = async (name: string) => {
    const { out } = await run(["render", "--stamp", name, "--region", "eu"]);
    return (JSON.parse(out) as { stampDigest: string }).stampDigest;
  };
  expect(await digestOf("shared-1")).toBe(await digestOf("shared-1"));
  expect(await digestOf("shared-1")).not.toBe(await digestOf("shared-2"));
});
