import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { badTemplate, stoppedText } from "./bad-release.ts";
import { exampleFleetFile } from "./stage.ts";

const notes = readFileSync(exampleFleetFile().replace(/fleet\.yaml$/, "stamp.yaml"), "utf8");

test("badTemplate() is another release of the example's own API, each time", async () => {
  const { parseTemplate } = await import("@stampyard/manifest");
  const parsed = [1_000, 2_000].map((at) => parseTemplate(badTemplate(notes, at), { file: "stamp.yaml" }));
  const [one, other] = parsed.map((each) => {
    if (!each.ok) throw new Error(JSON.stringify(each.problems));
    const api = each.template.stages[0]?.components.find(({ name }) => name === "api");
    return { version: each.template.version, command: api?.kind === "service" ? api.command?.flat() : undefined };
  });
  expect(one?.version).not.toBe(other?.version);
  expect(one?.command?.at(-1)).toBe("dist/api.js");
  expect(() => badTemplate("kind: StampTemplate\n", 1)).toThrow("not as this demo knows it");
});

test("stoppedText() says where it was, what was seen and what it cost", () => {
  const seen = {
    phase: "aborted",
    cause: "shared-2: 12 of 24 requests failed since its update, more than 20%",
    touched: ["shared-2"],
    tookMs: 9_400,
    onTouched: { requests: 180, errors: 31 },
    elsewhere: { requests: 420, errors: 0 },
  } as const;
  expect(stoppedText(seen)).toBe(
    "The bad release was taken back from shared-2 9.4 s after it was applied: shared-2: 12 of 24 requests failed since its update, more than 20%. 31 of 180 requests failed there, 0 of 420 everywhere else",
  );
  expect(stoppedText({ ...seen, phase: "paused" })).toContain("is paused on shared-2");
});
