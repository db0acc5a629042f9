import type { Reporter, TestModule } from "vitest/node";

/** Ends the output with `N passed, N failed, N skipped`, which people and CI read without knowing the runner. */
export function closingLine(): Reporter {
  return {
    onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]) {
      const count = { passed: 0, failed: errors.length, skipped: 0 };
      for (const module of modules) {
        let tests = 0;
        for (const test of module.children.allTests()) {
          tests += 1;
          const { state } = test.result();
          if (state !== "pending") count[state] += 1;
        }
        // A file that could not be loaded has no tests to count, and is still a failure.
        if (tests === 0 && !module.ok()) count.failed += 1;
      }
      console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
    },
  };
}
