import type { RolloutStrategy } from "@stampyard/domain";
import { fields } from "./field.ts";
import { checkShape } from "./issues.ts";
import { type Finding, type Problem, problemsOf } from "./problem.ts";
import { readYaml } from "./read-yaml.ts";
import { checkRollout } from "./rollout-checks.ts";
import { rollout } from "./rollout-file.ts";
import { buildStrategy } from "./rollout-strategy.ts";

export type OverriddenStrategy =
  | { readonly ok: true; readonly strategy: RolloutStrategy }
  | { readonly ok: false; readonly problems: readonly Problem[] };

const shape = fields("a map with rollout", { rollout });

/**
 * What one rollout does otherwise than its fleet: `words` are fields of `rollout:` in `fleet.yaml`, as JSON. Lists are
 * replaced as a whole. Never throws; paths of problems begin with `rollout`.
 */
export function overrideStrategy(base: RolloutStrategy, words: unknown): OverriddenStrategy {
  // JSON is YAML, so what is given gets the same questions and the same words as a file.
  const text = JSON.stringify({ rollout: words ?? {} });
  const fail = (findings: readonly Finding[]): OverriddenStrategy => ({
    ok: false,
    problems: problemsOf("strategy", text, findings),
  });
  const file = readYaml(text);
  if (file.value === undefined) return fail(file.findings);
  const checked = checkShape(shape, file);
  const findings = [...file.findings, ...checked.findings];
  checkRollout(file, findings, undefined);
  if (checked.data === undefined || findings.length > 0) return fail(findings);
  return { ok: true, strategy: buildStrategy(checked.data.rollout, base) };
}
