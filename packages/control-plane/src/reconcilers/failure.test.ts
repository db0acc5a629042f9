import { StampyardError } from "@stampyard/domain";
import { expect, test } from "vitest";
import { causeOf } from "./failure.ts";

test("causeOf() keeps one line and the mend, and nothing of an application's log (I33)", () => {
  const error = new StampyardError(
    "STAMP_FAILED",
    "Component api does not get healthy\nLast lines:\npassword=hunter2",
    {
      mend: "Mend the template.",
    },
  );
  expect(causeOf(error)).toBe("Component api does not get healthy. Mend the template.");
  expect(causeOf(new StampyardError("STAMP_FAILED", "x".repeat(1_000))).length).toBeLessThanOrEqual(301);
  const unexpected = StampyardError.from(new Error("connect postgres://u:hunter2@db"));
  expect(causeOf(unexpected)).toBe("Unexpected failure, see the log of the control plane");
});
