import type { FleetView } from "@stampyard/api";
import { expect, test } from "vitest";
import { look, worst } from "./check.ts";
import { catchAllChecks } from "./fleet.ts";

function fleet(until: string): Pick<FleetView, "pools"> {
  const pool = {
    name: "shared",
    tenancy: "shared" as const,
    regions: ["eu"],
    stamps: { min: 1, max: 2 },
    parameters: {},
  };
  return { pools: [pool, { ...pool, name: "zero", catchAll: { stamp: "stamp-zero", until } }] };
}
const now = Date.parse("2026-11-22T12:00:00Z");

test.each([
  ["2027-03-31", "ok"],
  ["2026-12-05", "warn"],
  ["2026-11-22", "warn"],
  ["2026-11-21", "fail"],
  ["not a date", "fail"],
])("catchAllChecks() on one that ends on %s is %s (I4)", (until, level) => {
  expect(catchAllChecks(fleet(until), now)).toMatchObject([{ name: "catch-all of pool zero", level }]);
});

test("look() makes of a thrown error one failed line with its mend", async () => {
  const check = await look("router", () =>
    Promise.reject(Object.assign(new Error("No answer"), { mend: "Start it." })),
  );
  expect(check).toEqual({ name: "router", level: "fail", found: "No answer", mend: "Start it." });
  expect(worst([check, { name: "x", level: "ok", found: "" }])).toBe("fail");
});
