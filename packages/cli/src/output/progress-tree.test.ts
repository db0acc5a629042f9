import { describe, expect, test } from "vitest";
import { appendedLines, type ProgressNode, treeLines } from "./progress-tree.ts";
import { widthOf } from "./style.ts";

const before: readonly ProgressNode[] = [
  { label: "control plane", state: "done", detail: "http://127.0.0.1:4300" },
  { label: "router", state: "waiting" },
];
const after: readonly ProgressNode[] = [
  { label: "control plane", state: "done", detail: "http://127.0.0.1:4300" },
  { label: "router", state: "working" },
  {
    label: "stamp shared-1 (eu)",
    state: "working",
    detail: "db is starting",
    children: [
      { label: "db", state: "done", detail: "healthy" },
      { label: "api", state: "failed", detail: "exit code 1" },
    ],
  },
];

describe("treeLines()", () => {
  test("draws the tree with its branches", () => {
    expect(treeLines(after, 80).join("\n")).toBe(`✓ control plane  http://127.0.0.1:4300
⠋ router
⠋ stamp shared-1 (eu)  db is starting
  ├ ✓ db  healthy
  └ ✗ api  exit code 1`);
  });

  test("turns the spinner and never a finished mark", () => {
    expect(treeLines(after, 80, 1)[1]).toBe("⠙ router");
    expect(treeLines(after, 80, 1)[0]).toBe(treeLines(after, 80, 0)[0]);
  });

  test("never writes past the last column, or the terminal would scroll what is redrawn", () => {
    const long: ProgressNode = { label: "stamp", state: "working", detail: "x".repeat(500), children: after };
    for (const columns of [20, 40, 80]) {
      for (const line of treeLines([long], columns)) expect(widthOf(line)).toBeLessThanOrEqual(columns);
    }
  });
});

describe("appendedLines()", () => {
  test("tells what changed, and nothing twice", () => {
    expect(appendedLines(before, after)).toEqual([
      "router: working",
      "stamp shared-1 (eu): working (db is starting)",
      "stamp shared-1 (eu) / db: done (healthy)",
      "stamp shared-1 (eu) / api: failed (exit code 1)",
    ]);
    expect(appendedLines(after, after)).toEqual([]);
  });

  test("says nothing of what only waits", () => {
    expect(appendedLines([], before)).toEqual(["control plane: done (http://127.0.0.1:4300)"]);
  });
});
