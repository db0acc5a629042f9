import { dirname } from "node:path";
import type { Client, RolloutDetailView } from "@stampyard/api";
import { CommandFailure } from "../failure.ts";
import { readManifestsChecked } from "../manifest-files.ts";
import { durationText } from "../output/quantity.ts";
import { waitFor } from "../process/wait.ts";
import type { DemoContext } from "./actions.ts";
import { exampleFleetFile } from "./stage.ts";
import { type Count, emptyCount, merge, type Tally } from "./tally.ts";

/** What became of a release whose API fails half of its requests. */
export interface StoppedRelease {
  /** How its rollout ended; `aborted` is what the demo is about. */
  readonly phase: RolloutDetailView["phase"];
  /** What its gate saw, in the rollout's own words. */
  readonly cause: string;
  /** Stamps that had it. */
  readonly touched: readonly string[];
  /** From the apply until every stamp ran the good release again. */
  readonly tookMs: number;
  readonly onTouched: Share;
  readonly elsewhere: Share;
}

export interface Share {
  readonly requests: number;
  readonly errors: number;
}

export type BadReleaseContext = Pick<DemoContext, "stage" | "tally" | "signal" | "say">;

const patienceMs = 180_000;
const settledPhases: readonly RolloutDetailView["phase"][] = ["aborted", "done", "paused", "superseded"];

/** Lets a bad release go, tells what its rollout does, and returns when it was taken back. */
export async function tryBadRelease(context: BadReleaseContext): Promise<StoppedRelease> {
  const { stage, tally, signal, say } = context;
  const file = exampleFleetFile();
  const { texts } = await readManifestsChecked(dirname(file), file);
  const before = countByStamp(tally);
  const began = performance.now();
  say("Applying a bad release: half of the requests to its API fail, and its health check says that all is well");
  const known = await newestRollout(stage.client, signal);
  await stage.client.apply({ body: { ...texts, templateYaml: badTemplate(texts.templateYaml, began) }, signal });
  const ended = await follow(context, known);
  const tookMs = performance.now() - began;
  const { items } = await stage.client.rolloutMembers({ params: { id: ended.id }, signal });
  const touched = items
    .filter(({ phase }) => phase !== "waiting" && phase !== "skipped")
    .map(({ stamp }) => stamp)
    .sort();
  const since = countSince(before, countByStamp(tally));
  return {
    phase: ended.phase,
    cause: ended.why ?? ended.waitingOn ?? "no cause known",
    touched,
    tookMs,
    onTouched: sumOf(since, (stamp) => touched.includes(stamp)),
    elsewhere: sumOf(since, (stamp) => !touched.includes(stamp)),
  };
}

/** What the audience should have seen, in two sentences. */
export function stoppedText({ phase, cause, touched, tookMs, onTouched, elsewhere }: StoppedRelease): string {
  const where = touched.join(", ");
  const end =
    phase === "aborted"
      ? `The bad release was taken back from ${where} ${durationText(tookMs)} after it was applied`
      : `The bad release is ${phase} on ${where}`;
  return `${end}: ${cause}. ${onTouched.errors} of ${onTouched.requests} requests failed there, ${elsewhere.errors} of ${elsewhere.requests} everywhere else`;
}

/**
 * The same application behind a few lines that fail half of the requests of tenants. Each has a version of its own: the
 * same release again would have nothing to change.
 */
export function badTemplate(template: string, at: number): string {
  const command = ["node", "--import", `data:text/javascript,${encodeURIComponent(fault)}`, "dist/api.js"];
  const bad = template
    .replace("command: node dist/api.js", () => `command: ${JSON.stringify(command)}`)
    .replace(/^( *version: )\d+\.\d+\.\d+$/m, (_line, key: string) => `${key}9.9.${Math.round(at)}-bad`);
  if (!bad.includes("data:text/javascript") || !bad.includes("-bad")) {
    throw new CommandFailure("INVALID_MANIFEST", "The example's stamp.yaml is not as this demo knows it");
  }
  return bad;
}

const fault = `
import { Server } from "node:http";
const emit = Server.prototype.emit;
Server.prototype.emit = function (event, request, response) {
  const isTenants = event === "request" && request.url !== "/healthz" && !request.headers["stampyard-hook"];
  if (!isTenants || Math.random() < 0.5) return emit.apply(this, arguments);
  request.resume();
  response.writeHead(500).end();
  return true;
};`;

async function newestRollout(client: Client, signal: AbortSignal): Promise<string | undefined> {
  return (await client.rolloutList({ query: { limit: 1 }, signal })).items[0]?.id;
}

/** Tells every step of the rollout that began after `known`. */
async function follow(
  { stage, signal, say }: BadReleaseContext,
  known: string | undefined,
): Promise<RolloutDetailView> {
  let told = "";
  const ended = await waitFor(
    async () => {
      const id = await newestRollout(stage.client, signal);
      if (id === undefined || id === known) return undefined;
      const rollout = await stage.client.rolloutGet({ params: { id }, signal });
      const words = stepText(rollout);
      if (words !== told) say(words);
      told = words;
      return settledPhases.includes(rollout.phase) ? rollout : undefined;
    },
    { timeoutMs: patienceMs, signal, everyMs: 100 },
  );
  if (ended !== undefined) return ended;
  throw new CommandFailure("TIMEOUT", `The rollout of the bad release has not ended; last: ${told}`);
}

function stepText({ id, phase, wave, waves, why }: RolloutDetailView): string {
  const name = wave === undefined ? undefined : waves[wave]?.name;
  const where = name === undefined ? "" : ` (${name})`;
  return `Rollout ${id} is ${phase}${where}${why === undefined ? "" : `: ${why}`}`;
}

function countByStamp(tally: Tally): ReadonlyMap<string, Readonly<Count>> {
  const counts = new Map<string, Count>();
  for (const stamp of new Set(tally.tenants().values())) {
    const total = emptyCount();
    merge(total, tally.ofStamp(stamp));
    counts.set(stamp, total);
  }
  return counts;
}

function countSince(
  before: ReadonlyMap<string, Readonly<Count>>,
  after: ReadonlyMap<string, Readonly<Count>>,
): ReadonlyMap<string, Share> {
  return new Map(
    [...after].map(([stamp, { requests, errors }]) => {
      const earlier = before.get(stamp);
      return [stamp, { requests: requests - (earlier?.requests ?? 0), errors: errors - (earlier?.errors ?? 0) }];
    }),
  );
}

function sumOf(counts: ReadonlyMap<string, Share>, isMeant: (stamp: string) => boolean): Share {
  let [requests, errors] = [0, 0];
  for (const [stamp, count] of counts) {
    if (!isMeant(stamp)) continue;
    requests += count.requests;
    errors += count.errors;
  }
  return { requests, errors };
}
