import { defineConfig } from "vitest/config";
import { closingLine } from "./test/closing-line.ts";

export default defineConfig({
  // Packages are read from their sources here; processes that a test starts run what `tsc -b` built.
  resolve: { conditions: ["source", "node", "module"] },
  ssr: { resolve: { conditions: ["source", "node", "module"] } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "examples/*/src/**/*.test.ts", "test/**/*.test.ts"],
    reporters: ["default", closingLine()],
    // Suites on real servers share two cores; more workers than cores only makes them time out.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
