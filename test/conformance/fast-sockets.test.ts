import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
/** Everything that goes through a client's connection or a stamp's. */
const suites = [
  "packages/router/src/front",
  "packages/router/src/streaming.test.ts",
  "packages/router/src/long-lived.test.ts",
  "packages/router/src/hostile-requests.test.ts",
  "packages/router/src/hostile-stamps.test.ts",
  "test/conformance/conformance.test.ts",
  "test/conformance/bad-stamps.test.ts",
];

test("the front and its corpus pass by the fast way to sockets too (I7, I8, I9, I13)", {
  timeout: 240_000,
}, async () => {
  const child = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", "--maxWorkers=1", ...suites], {
    cwd: root,
    env: { ...process.env, STAMPYARD_ROUTER_IO: "fast", NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  const hear = (bytes: Buffer) => {
    said += String(bytes);
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
  expect(code, said.slice(-8_000)).toBe(0);
});
