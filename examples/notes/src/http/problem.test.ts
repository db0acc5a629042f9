import { refusalHeader } from "@stampyard/guard";
import { expect, test } from "vitest";
import { Problem, problemOf } from "./problem.ts";

test("problemOf() asks to come again when the database is away, and hides what is unexpected", () => {
  const refused = Object.assign(new Error("connect ECONNREFUSED /secret/path"), { code: "ECONNREFUSED" });
  for (const [caught, sqlState, code] of [
    [refused, undefined, "database-unavailable"],
    [new Error("Connection terminated unexpectedly"), undefined, "database-unavailable"],
    [new Error("the database system is starting up"), "57P03", "database-unavailable"],
    [new Error("tenant acme is fenced"), "SY001", "workspace-moving"],
    [new Error("violates foreign key"), "23503", "workspace-not-ready"],
  ] as const) {
    const problem = problemOf(caught, sqlState);
    expect(problem).toMatchObject({ status: 503, code, headers: { "retry-after": "1" } });
    expect(problem.message).not.toContain(caught.message);
  }
  expect(problemOf(new Error("fenced"), "SY001").headers).toMatchObject({ [refusalHeader]: "not-active" });
  // What a transaction asks to have repeated, because a home changed under it.
  expect(problemOf(new Error("could not serialize access"), "40001")).toMatchObject({ status: 503 });
  const unexpected = problemOf(new Error("secret"), "42703");
  expect(unexpected).toMatchObject({ status: 500, code: "internal" });
  expect(unexpected.message).not.toContain("secret");
  const ours = new Problem(404, "no-note", "There is no such note");
  expect(problemOf(ours, undefined)).toBe(ours);
});
