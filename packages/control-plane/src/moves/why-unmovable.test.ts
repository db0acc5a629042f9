import type { Component, PostgresComponent, Stamp, StampSpec, Tenancy } from "@stampyard/domain";
import { expect, test } from "vitest";
import type { MoveEnd } from "./move-ends.ts";
import { refuseMove, whyUnmovable } from "./why-unmovable.ts";

const database = { kind: "postgres", name: "db", ids: {}, via: {}, fence: "enforce" } as unknown as PostgresComponent;
const rows: Tenancy = { model: "rows", column: "tenant_id" };

function built(name: string, components: readonly Component[], tenancy: Tenancy = rows, url = "postgres://x"): MoveEnd {
  const rendered = { tenancy, stages: [{ name: "main", engine: "local", components }], hooks: {} };
  return { name, stamp: { name, origin: "built" } as Stamp, spec: { rendered } as unknown as StampSpec, url };
}
function adopted(name: string, guard: boolean, url?: string): MoveEnd {
  const capabilities = { guard, fence: false, drain: false, restore: false };
  const adoption = { endpoints: [], hasDatabase: url !== undefined, capabilities };
  const spec = { rendered: { tenancy: rows, stages: [], hooks: {} } } as unknown as StampSpec;
  const stamp = { name, origin: "adopted", adoption } as unknown as Stamp;
  return { name, stamp, spec, ...(url === undefined ? {} : { url }) };
}
const whatOf = (source: MoveEnd, target: MoveEnd) =>
  whyUnmovable({ source, target }).map(({ where, what }) => `${where}: ${what}`);

test("whyUnmovable() finds nothing between two stamps with one fenced database each", () => {
  expect(whatOf(built("a", [database]), built("b", [database]))).toEqual([]);
  expect(whatOf(adopted("zero", true, "postgres://z"), built("b", [database]))).toEqual([]);
});

test("whyUnmovable() names what the templates lack, on both sides", () => {
  const { fence: _, ...open } = database;
  expect(whatOf(built("a", [open]), built("b", [{ ...database, fence: "report" }]))).toEqual([
    "stamp a: component db declares no fence",
    "stamp b: component db declares fence: report",
  ]);
  expect(whatOf(built("a", [database, database]), built("b", [database], { model: "schema" }))).toEqual([
    "stamp a: its template has 2 postgres components, and a tenant moves between stamps that have one",
    "stamp b: its tenants are told apart by schema, and only tenants of model rows move",
  ]);
});

test("whyUnmovable() names the capability that an adopted stamp lacks, and the command that adds it (D18)", () => {
  const problems = whyUnmovable({ source: adopted("zero", false), target: built("b", [database]) });
  expect(problems.map(({ what }) => what)).toEqual([
    "it was adopted without the capability guard",
    "it was adopted without the capability fence",
  ]);
  for (const { mend } of problems) expect(mend).toContain("stampyard stamp adopt");
});

test("refuseMove() throws all of them at once", () => {
  const problems = whyUnmovable({ source: { name: "a" }, target: { name: "b" } });
  expect(() => refuseMove(problems)).toThrow(
    expect.objectContaining({
      code: "MOVE_REFUSED",
      message: "The tenant cannot move: stamp a: it is destroyed, and 1 more",
      problems: [expect.objectContaining({ message: "stamp a: it is destroyed" }), expect.anything()],
    }),
  );
  expect(() => refuseMove([])).not.toThrow();
});
