import { expect, test } from "vitest";
import { maxAttempts, retryDelayMs } from "./outbox.ts";

test("retryDelayMs() doubles, stays bounded, and gives up after the last attempt", () => {
  const delays = Array.from({ length: maxAttempts }, (_, index) => retryDelayMs(index + 1));
  expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, undefined]);
});
