import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { identify } from "@stampyard/engines/process";
import { findStateDir, fleetNameIn, readRecorded } from "./state-dir.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "cli-state-"));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function fleetFile(text: string): string {
  const file = join(dir, "fleet.yaml");
  writeFileSync(file, text);
  return file;
}

describe("fleetNameIn()", () => {
  test.each([
    "apiVersion: stampyard.dev/v1alpha1\nkind: Fleet\nmetadata:\n  name: notes\n",
    "metadata:\n  # a comment\n\n  name: notes # ours\ntemplate: x\n",
    "metadata:\n  labels: {a: b}\n  name: 'notes'\n",
    'metadata: { name: "notes" }\n',
    "pools:\n  shared: {name: other}\nmetadata:\n    name: notes\n",
  ])("reads %j", (text) => {
    expect(fleetNameIn(fleetFile(text))).toBe("notes");
  });

  test.each([
    "kind: Fleet\n",
    "metadata:\ntemplate: x\nname: notes\n",
    "metadata:\n  name: ../../etc\n",
    "metadata:\n  name: 'a;rm -rf'\n",
  ])("refuses %j", (text) => {
    expect(() => fleetNameIn(fleetFile(text))).toThrow(/names no fleet/);
  });
});

test("findStateDir() prefers the option, then the environment, then the fleet file", () => {
  fleetFile("metadata:\n  name: notes\n");
  const at = (state?: string, env: Record<string, string> = {}) =>
    findStateDir({ env, cwd: dir }, { file: "fleet.yaml", ...(state === undefined ? {} : { state }) }).root;
  expect(at("/a", { STAMPYARD_STATE: "/b" })).toBe("/a");
  expect(at(undefined, { STAMPYARD_STATE: "/b" })).toBe("/b");
  expect(at()).toMatch(/stampyard\/notes$/);
  expect(at("relative")).toBe(join(dir, "relative"));
});

describe("readRecorded()", () => {
  test("tells a living process from one whose pid was given to another", () => {
    const file = join(dir, "control-plane.json");
    const me = identify(process.pid);
    writeFileSync(file, JSON.stringify({ ...me, url: "http://127.0.0.1:4300" }));
    expect(readRecorded(file)).toMatchObject({ alive: true, url: "http://127.0.0.1:4300" });
    writeFileSync(file, JSON.stringify({ ...me, startTime: "1", url: "http://127.0.0.1:4300" }));
    expect(readRecorded(file)).toMatchObject({ alive: false });
    writeFileSync(file, JSON.stringify({ ...me, bootId: "another boot" }));
    expect(readRecorded(file)).toMatchObject({ alive: false });
  });

  test.each(["", "{", "{}", '{"pid":1,"bootId":"x","startTime":"1"}', '{"pid":-5,"bootId":"x","startTime":"1"}'])(
    "takes %j for nothing",
    (text) => {
      mkdirSync(dir, { recursive: true });
      const file = join(dir, "broken.json");
      writeFileSync(file, text);
      expect(readRecorded(file)).toBeUndefined();
      expect(readRecorded(join(dir, "absent.json"))).toBeUndefined();
    },
  );
});
