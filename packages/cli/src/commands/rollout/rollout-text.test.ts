import { expect, test } from "vitest";
import { wayText } from "./rollout-text.ts";

test("wayText() says what differs: releases by name or digest, or routing rules alone", () => {
  const aim = (version: string, routing?: string, release = `sha256:${version}`) => {
    return { release, version, ...(routing === undefined ? {} : { routing }) };
  };
  expect(wayText(aim("1.0.0", "a"), aim("1.1.0", "b"))).toBe("1.0.0 to 1.1.0");
  expect(wayText(aim("1.0.0", "a"), aim("1.0.0", "b"))).toBe("1.0.0 with other routing rules");
  expect(wayText(aim("1.0.0", "a"), aim("1.0.0"))).toBe("1.0.0 to 1.0.0");
  expect(wayText(aim("1.0.0", "a"), aim("1.0.0", "b", "sha256:composed"))).toBe("1.0.0 (1.0.0) to 1.0.0 (compos)");
});
