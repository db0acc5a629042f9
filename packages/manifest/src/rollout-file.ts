import { rolloutHookPoints } from "@stampyard/domain";
import { z } from "zod";
import { duration, fields, flag, listOf, name, oneOf, rule, whole, words } from "./field.ts";

/** How releases go over the fleet: the fields of `rollout:` in `fleet.yaml`. */

function numberIn(min: number, max: number, what: string) {
  const expects = `${what} from ${min} to ${max}`;
  return z.number({ error: expects }).min(min, { error: expects }).max(max, { error: expects });
}

const share = (min: number, max: number) => numberIn(min, max, "a share");
const bake = duration("0s", "336h", "10m");
const timeout = duration("10ms", "10m", "5s");
const command = z
  .union([words("a text", /^[^\0]+$/, 4_096), listOf(words("a text", /^[^\0]*$/, 4_096), "a list of words", 1, 100)], {
    error: "a command line, or a list of its words",
  })
  .describe("Program and arguments: one line, or a list of words. No shell runs it");
const url = words("a URL such as https://hooks.example.com/x", /^https?:\/\/[^\s\0]+$/, 2_048);

const canaryFields = fields("a map with stamp, leastPerMinute, bake and approval", {
  stamp: name("stamp")
    .optional()
    .describe("This one first. Default the one with the least traffic that has enough of it"),
  leastPerMinute: numberIn(0, 1_000_000, "requests per minute")
    .optional()
    .describe("Requests per minute from which on a stamp has enough traffic to be judged. Default 60"),
  bake: bake.optional().describe("How long it is watched. Default 10m, or bake if that is given"),
  approval: flag().optional().describe("A person has to let it begin. Default false"),
});

const canary = z.union([z.literal(false), canaryFields], { error: "a map of canary fields, or false for none" });

const labelNames = (what: string) => listOf(name(what), `a list of ${what} names`, 1, 100);

const labels = fields("a map with region, pool, tier and ring", {
  region: labelNames("region").optional().describe("Stamps in one of these regions"),
  pool: labelNames("pool").optional().describe("Stamps of one of these pools"),
  tier: labelNames("tier").optional().describe("Stamps with tenants of one of these tiers"),
  ring: labelNames("ring").optional().describe("Stamps of pools with one of these rings"),
});

const wave = fields("a map with count, percent, labels or rest", {
  name: name("wave").optional().describe("Default wave-2 and so on"),
  count: whole(1, 100_000).optional().describe("So many stamps; beside labels, so many of those"),
  percent: numberIn(0.01, 100, "a percentage")
    .optional()
    .describe("So many of a hundred of all its stamps, rounded up"),
  labels: labels.optional().describe("Stamps that have one of the words of every label that is named"),
  rest: z.literal(true, { error: "the word true" }).optional().describe("All that are left"),
  bake: bake.optional().describe("How long it is watched after its last stamp was updated. Default that of all waves"),
  maxUnavailable: whole(1, 100).optional().describe("Stamps that are updated at a time. Default that of all waves"),
  approval: flag().optional().describe("A person has to let it begin. Default false"),
});

const probe = fields("a map with name, and path or command", {
  name: name("probe").describe("Shown in reports"),
  path: words("a path such as /healthz", /^\/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$/, 512)
    .optional()
    .describe("Asked of every updated stamp, through a router as its verification tenant"),
  status: whole(100, 599).optional().describe("With path: the answer that is good. Default 200"),
  command: command.optional(),
  timeout: timeout.optional().describe("How long one answer may take. Default 5s"),
});

const query = fields("a map with name, url, query, and atMost or atLeast", {
  name: name("query").describe("Shown in reports"),
  url: url.describe("Base URL of a Prometheus"),
  query: words("a PromQL query", /^[^\0]+$/, 4_096).describe(
    "Answers one number or nothing; ${stamp} is the updated stamp",
  ),
  atMost: z.number({ error: "a number" }).optional().describe("The answer is good up to here"),
  atLeast: z.number({ error: "a number" }).optional().describe("The answer is good from here on"),
}).refine(
  ({ atMost, atLeast }) => atMost !== undefined || atLeast !== undefined,
  rule("Query says nothing of what is good", "Add atMost: or atLeast:."),
);

const gate = fields("a map of gate fields", {
  enforced: flag().optional().describe("false: its verdicts are only reported. Default true"),
  errors: fields("a map with worse and leastRequests", {
    worse: share(0.001, 0.5).optional().describe("Increase of the error share that is worth an abort. Default 0.01"),
    leastRequests: fields("a map with updated and siblings", {
      updated: whole(1, 10_000_000).optional().describe("Of updated stamps. Default 300"),
      siblings: whole(1, 10_000_000).optional().describe("Of stamps beside them. Default 1000"),
    })
      .optional()
      .describe("Requests that a verdict needs; with fewer there is none, and the rollout waits"),
  })
    .optional()
    .describe("Failed requests beside those of concurrent siblings"),
  latency: fields("a map with worse", {
    worse: duration("1ms", "60s", "300ms").optional().describe("Added time that is worth an abort. Default 300ms"),
  })
    .optional()
    .describe("90th percentile beside that of concurrent siblings"),
  mostErrors: share(0.001, 1)
    .optional()
    .describe("An updated stamp above this share of failed requests aborts, whatever its siblings do. Default 0.25"),
  tenant: fields("a map with leastRequests and errorShare", {
    leastRequests: whole(1, 1_000_000).optional().describe("Requests of it that must have been seen. Default 20"),
    errorShare: share(0.01, 1).optional().describe("Share of them that failed. Default 0.5"),
  })
    .optional()
    .describe("One tenant of an updated stamp that newly fails aborts"),
  mostRestarts: whole(0, 1_000)
    .optional()
    .describe("Restarts of one component since its update that are borne. Default 2"),
  queueLag: fields("a map with most", {
    most: whole(0, 1_000_000_000).describe("More messages or jobs that wait than before the update"),
  })
    .optional()
    .describe("Queues of an updated stamp. Default not watched"),
  probes: listOf(probe.describe("One probe"), "a list of probes", 0, 20)
    .optional()
    .describe("Asked while a wave bakes"),
  queries: listOf(query.describe("One query"), "a list of queries", 0, 20).optional().describe("Asked of Prometheus"),
  alpha: share(0.000_1, 0.1)
    .optional()
    .describe(
      "Chance that a rollout without any difference is aborted by the comparison, over all waves. Default 0.01",
    ),
  wait: duration("0s", "24h", "15m")
    .optional()
    .describe(
      "How long a wave waits after its bake for data that is late or too little, before it pauses. Default 15m",
    ),
});

const hook = fields("a map with name, point, and url or command", {
  name: name("hook").describe("Shown in reports"),
  point: oneOf(rolloutHookPoints).describe("When it is called"),
  url: url.optional().describe("Gets a POST with the rollout as JSON"),
  command: command.optional(),
  timeout: duration("10ms", "1h", "30s").optional().describe("How long it may take. Default 30s"),
  onFailure: oneOf(["abort", "pause", "ignore"]).optional().describe("What follows when it fails. Default pause"),
});

export const rollout = fields("a map of rollout fields", {
  canary: canary.optional().describe("The first wave: one stamp. false = none"),
  waves: listOf(wave.describe("One wave"), "a list of waves", 0, 50)
    .optional()
    .describe("What follows the canary, in order; whom no wave takes goes last. Default 10%, 30% and the rest"),
  maxUnavailable: whole(1, 100).optional().describe("Stamps of a wave that are updated at a time. Default 1"),
  bake: bake.optional().describe("How long a wave is watched after its last stamp was updated. Default 5m"),
  updateWithin: duration("10s", "24h", "10m")
    .optional()
    .describe("A stamp that has not arrived so long after its update began has failed. Default 10m"),
  lateRing: flag()
    .optional()
    .describe("Dedicated stamps, and those with pinned tenants, go after all others. Default true"),
  gate: gate.optional().describe("When a wave may go on"),
  hooks: listOf(hook.describe("One hook"), "a list of hooks", 0, 20).optional().describe("Called at named points"),
  onAbort: oneOf(["rollback", "pause"])
    .optional()
    .describe("When a gate says abort: stamps that it touched go back, or all stays as it is. Default rollback"),
  onNewer: oneOf(["queue", "batch", "supersede"])
    .optional()
    .describe(
      "A rollout that is asked for while another is under way waits, waits until a newer one takes its place, or replaces it. Default batch",
    ),
});

export type RolloutFile = z.infer<typeof rollout>;
