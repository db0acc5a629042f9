import { createSeededRandom, type SeededRandom } from "@stampyard/testing";
import { corpus } from "./families.ts";
import type { Lane } from "./judge.ts";
import { mutate } from "./mutation.ts";
import { answersOf, openRawClient } from "./raw-client.ts";
import { type RecordingStamp, startRecordingStamp } from "./recording-stamp.ts";
import { hostOf, isRouteOf, type RouterUnderTest, startRouterUnderTest } from "./router-under-test.ts";
import { type ReadRequest, readRequests, valuesOf } from "./strict-reader.ts";

export interface FuzzReport {
  readonly shots: number;
  /** Requests that stamps got. */
  readonly forwarded: number;
  readonly problems: readonly string[];
}

interface Fuzzer {
  readonly router: RouterUnderTest;
  readonly victim: RecordingStamp;
  readonly deadline: number;
  readonly maxShots: number;
  shots: number;
  forwarded: number;
  readonly problems: string[];
}

/**
 * Shoots mutated payloads until the time is over and checks each against the strict reader: what stamps get is canonical,
 * signed, and one of the requests that the bytes really hold, in their order and at most once (I6–I8).
 */
export async function fuzz(options: {
  readonly seed: number;
  readonly forMs: number;
  readonly maxShots: number;
  readonly lanes: number;
}): Promise<FuzzReport> {
  const victim = await startRecordingStamp();
  const lanes = await Promise.all(
    Array.from({ length: options.lanes }, async (_, n) => {
      const recording = await startRecordingStamp();
      // So far apart that a mutation of one name is never another one.
      const tenant = String.fromCharCode(97 + n).repeat(6);
      return { stamp: `s-${n}`, tenant, port: recording.port, host: hostOf(tenant), recording };
    }),
  );
  const router = await startRouterUnderTest([...lanes, { stamp: "s-victim", tenant: "victim", port: victim.port }]);
  const deadline = performance.now() + options.forMs;
  const fuzzer: Fuzzer = { router, victim, deadline, maxShots: options.maxShots, shots: 0, forwarded: 0, problems: [] };
  try {
    await Promise.all(lanes.map((lane, n) => fuzzLane(fuzzer, lane, createSeededRandom(options.seed * 1_000 + n))));
    await stillServes(fuzzer, lanes);
  } finally {
    await router[Symbol.asyncDispose]();
    await Promise.all([victim, ...lanes.map(({ recording }) => recording)].map((stamp) => stamp.stop()));
  }
  const { shots, forwarded, problems } = fuzzer;
  return { shots, forwarded, problems };
}

async function fuzzLane(fuzzer: Fuzzer, lane: Lane, random: SeededRandom): Promise<void> {
  const seeds = corpus(lane.host)
    .map(({ bytes }) => bytes)
    .filter((bytes) => bytes.length < 4_000);
  let before: readonly ReadRequest[] = [];
  while (performance.now() < fuzzer.deadline && fuzzer.shots < fuzzer.maxShots && fuzzer.problems.length < 20) {
    fuzzer.shots += 1;
    const bytes = mutate(random.pick(seeds), random.pick(seeds), random);
    const held = readLeniently(bytes);
    const problem = await shoot(fuzzer, lane, bytes, held, before);
    before = held;
    if (problem !== undefined) fuzzer.problems.push(`${problem} for ${JSON.stringify(bytes.slice(0, 1_500))}`);
  }
}

async function shoot(
  fuzzer: Fuzzer,
  lane: Lane,
  bytes: string,
  held: readonly ReadRequest[],
  before: readonly ReadRequest[],
): Promise<string | undefined> {
  const { recording } = lane;
  recording.requests.length = recording.faults.length = recording.tunnelled.length = 0;
  checkVictim(fuzzer);
  const client = await openRawClient(fuzzer.router.port);
  client.send(bytes);
  const methods = held.map(({ method }) => method);
  // All that can be said by then has been said; bytes that wait for more are ended by the client.
  await client.until(() => held.length > 0 && answersOf(client, methods).answers.length >= held.length, 25);
  client.socket.end();
  await client.until(() => false, patienceMs);
  const hung = client.ended === "open";
  client.socket.destroy();
  if (hung) return "the connection stayed open behind its client's end";
  await pass(fuzzer, lane);
  const requests = recording.requests.filter(({ target }) => target !== barrier);
  const { faults } = recording;
  fuzzer.forwarded += requests.length;
  // Half a request is what a client that left leaves behind; what cannot be read at all is ours.
  if (faults.length > 0) return `the stamp got what is not canonical: ${faults[0]}`;
  // A request whose client left may arrive while the next payload is sent.
  return notHeld([...before, ...held], requests, lane);
}

/** For what comes at once unless the machine is starved, which in a long run it may be for seconds. */
const patienceMs = 20_000;
const barrier = "/-barrier-";

/** One request of our own: what was sent to the stamp before it has arrived. */
async function pass(fuzzer: Fuzzer, lane: Lane): Promise<void> {
  const client = await openRawClient(fuzzer.router.port);
  client.send(`GET ${barrier} HTTP/1.1\r\nHost: ${lane.host}\r\nConnection: close\r\n\r\n`);
  await client.until(() => client.received.endsWith("stamp saw GET"), patienceMs);
  client.socket.destroy();
}

/** The requests that the bytes hold, read as permissively as RFC 9112 section 2.2 lets a server be. */
function readLeniently(bytes: string): readonly ReadRequest[] {
  const requests: ReadRequest[] = [];
  let rest = bytes;
  for (;;) {
    // Empty lines before a request, and more than one space in its line, are repaired by the router or refused.
    rest = rest.replace(/^(?:\r\n)+/, "").replace(/^([^\r\n ]+) +([^\r\n ]+) +(?=HTTP\/)/, "$1 $2 ");
    const read = readRequests(rest);
    const [first] = read.requests;
    if (first === undefined) return requests;
    // Only the first: empty lines may stand before each.
    requests.push(first);
    const one = readOneLength(rest, read.consumed, read.requests.length);
    rest = rest.slice(one);
  }
}

/** Length of the first request, found by cutting. */
function readOneLength(bytes: string, consumed: number, count: number): number {
  if (count === 1) return consumed;
  let low = 1;
  let high = consumed;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (readRequests(bytes.slice(0, middle)).requests.length >= 1) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** What a stamp got must be among what was sent, in that order, each at most once. */
function notHeld(held: readonly ReadRequest[], got: readonly ReadRequest[], lane: Lane): string | undefined {
  let next = 0;
  for (const request of got) {
    const routes = valuesOf(request.fields, "stampyard-route");
    if (routes.length !== 1 || !isRouteOf(routes[0] ?? "", lane)) return "the route header is not the router's";
    while (next < held.length && !isSame(held[next], request)) next += 1;
    if (next >= held.length) {
      return `the stamp got ${request.method} ${request.target} (${JSON.stringify(request.body.slice(0, 80))}), which the bytes do not hold`;
    }
    next += 1;
  }
  return undefined;
}

function isSame(held: ReadRequest | undefined, got: ReadRequest): boolean {
  if (held === undefined || held.method !== got.method || held.body !== got.body) return false;
  const origin = held.target.replace(/^https?:\/\/[^/?]*/i, "");
  const target = origin.startsWith("/") ? origin : `/${origin}`;
  return target === got.target;
}

async function stillServes(fuzzer: Fuzzer, lanes: readonly Lane[]): Promise<void> {
  for (const lane of lanes) {
    const client = await openRawClient(fuzzer.router.port);
    client.send(`GET /alive HTTP/1.1\r\nHost: ${lane.host}\r\nConnection: close\r\n\r\n`);
    const served = await client.until(() => answersOf(client, ["GET"]).answers[0]?.complete === true, 5_000);
    if (!served || answersOf(client, ["GET"]).answers[0]?.status !== 200)
      fuzzer.problems.push(`${lane.tenant} is not served any more`);
    client.socket.destroy();
  }
  checkVictim(fuzzer);
}

/** The words hold whole requests for the victim; they are served, but always as the victim's and in canonical form. */
function checkVictim({ victim, problems }: Fuzzer): void {
  if (victim.faults.length > 0) problems.push(`the victim's stamp got ${victim.faults[0]}`);
  for (const { fields } of victim.requests) {
    const route = valuesOf(fields, "stampyard-route")[0] ?? "";
    if (!isRouteOf(route, { stamp: "s-victim", tenant: "victim" })) problems.push("the victim got another's route");
  }
  victim.requests.length = victim.faults.length = 0;
}
