import type { RecordingStamp } from "./recording-stamp.ts";
import { answersOf, openRawClient, type RawClient, reasonOf } from "./raw-client.ts";
import { isRouteOf, type StampAt } from "./router-under-test.ts";
import { type ReadAnswers, type ReadRequest, type ReadResponse, valuesOf } from "./strict-reader.ts";
import type { Canonical, Payload, Verdict } from "./verdict.ts";

/** One tenant with a recording stamp of its own, so that what arrives belongs to the payload that is being sent. */
export interface Lane extends StampAt {
  readonly host: string;
  readonly recording: RecordingStamp;
}

interface Observed {
  readonly methods: readonly string[];
  readonly read: ReadAnswers;
  readonly answers: readonly ReadResponse[];
  readonly ended: RawClient["ended"];
  /** The connection served one more request afterwards. */
  readonly kept: boolean;
  readonly requests: readonly ReadRequest[];
  readonly faults: readonly string[];
  readonly tunnelled: boolean;
}

/** How the bytes are cut into writes: all at once, or one by one up to 512 and the rest. */
export type Cutting = "whole" | "bytewise";

const patience = 3_000;
const probeTarget = "/-probe-";

/** Field names that the router writes; at most one of each. */
const written = new Set([
  "host",
  "via",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-request-id",
  "stampyard-route",
  "content-length",
  "transfer-encoding",
  "connection",
  "traceparent",
]);

/** Shoots payloads at the router, one behind the other, keeping the connection where the verdict says that it is kept. */
export function createShooter(port: number, lane: Lane) {
  let client: RawClient | undefined;
  let uses = 0;

  async function shoot(payload: Payload, cutting: Cutting): Promise<string | undefined> {
    if (client === undefined || client.ended !== "open" || uses > 200 || payload.halfClose === true) {
      client?.socket.destroy();
      client = await openRawClient(port);
      uses = 0;
    }
    uses += 1;
    const observed = await observe(client, lane, payload, cutting);
    const problem = differenceOf(payload.verdict, observed, lane);
    if (observed.kept && problem === undefined) client.received = "";
    else {
      client.socket.destroy();
      client = undefined;
    }
    return problem;
  }
  return { shoot, end: () => client?.socket.destroy() };
}

async function observe(client: RawClient, lane: Lane, payload: Payload, cutting: Cutting): Promise<Observed> {
  const { recording } = lane;
  recording.requests.length = recording.faults.length = recording.tunnelled.length = 0;
  const expected = mostAnswers(payload.verdict);
  const methods = methodsOf(payload);
  if (cutting === "whole") client.send(payload.bytes);
  else await sendBytewise(client, payload.bytes);
  const finals = () => answersOf(client, methods).answers;
  if (payload.halfClose === true) {
    // First the chance to be believed: a router that sees its client leave may drop what it was fooled into.
    await client.until(() => finals().length > 0, 30);
    client.socket.end();
  }
  await client.until(() => {
    const answers = finals();
    return answers.length >= expected && answers.every((answer) => answer.complete);
  }, patience);
  let kept = false;
  const last = finals().at(-1);
  const tunnelled = last?.status === 101;
  if (tunnelled) {
    client.send("through the tunnel");
    await client.until(() => client.received.endsWith("through the tunnel"), patience);
  } else if (last !== undefined && saysClose(last)) {
    // What a well-behaved client does; the router must end its side either way.
    client.socket.end();
    await client.until(() => false, patience);
  } else if (client.ended === "open" && last?.complete === true && payload.halfClose !== true) {
    const before = finals().length;
    client.send(`GET ${probeTarget} HTTP/1.1\r\nHost: ${lane.host}\r\n\r\n`);
    kept = await client.until(() => finals().length > before && finals().at(-1)?.complete === true, patience);
    kept &&= finals().at(-1)?.status === 200;
    if (!kept) await client.until(() => false, patience);
  } else if (client.ended === "open") await client.until(() => false, patience);
  const read = answersOf(client, methods);
  const probeSeen = kept && recording.requests.at(-1)?.target === probeTarget;
  return {
    methods,
    read,
    answers: kept ? read.answers.slice(0, -1) : read.answers,
    ended: client.ended,
    kept: kept && probeSeen,
    requests: probeSeen ? recording.requests.slice(0, -1) : [...recording.requests],
    faults: [...recording.faults],
    tunnelled,
  };
}

async function sendBytewise(client: RawClient, bytes: string): Promise<void> {
  const single = Math.min(bytes.length, 512);
  for (let at = 0; at < single; at++) {
    client.send(bytes[at] ?? "");
    if (at % 8 === 7) await new Promise((resolve) => setImmediate(resolve));
  }
  if (single < bytes.length) client.send(bytes.slice(single));
}

function saysClose(answer: ReadResponse): boolean {
  const close = valuesOf(answer.fields, "connection").some((value) => /(?:^|,)[\t ]*close/i.test(value));
  return close || (answer.version === "1.0" && !close);
}

function mostAnswers(verdict: Verdict): number {
  if (verdict.kind === "either") return Math.max(...verdict.of.map(mostAnswers));
  if (verdict.kind === "accept") return verdict.requests.length;
  return verdict.kind === "reject" ? verdict.after.length + 1 : 1;
}

/** What the answers are for: one to HEAD ends with its head, an error's too. */
function methodsOf({ verdict, bytes }: Pick<Payload, "verdict" | "bytes">): string[] {
  if (verdict.kind === "accept") return verdict.requests.map((request) => request.method);
  const before = verdict.kind === "reject" ? verdict.after.map((request) => request.method) : [];
  return bytes.startsWith("HEAD ") ? [...before, "HEAD"] : before;
}

/** What is not as it must be, or undefined. */
function differenceOf(verdict: Verdict, seen: Observed, lane: Lane): string | undefined {
  if (verdict.kind === "either") {
    const problems = verdict.of.map((one) => differenceOf(one, seen, lane));
    return problems.includes(undefined) ? undefined : `neither: ${problems.join(" | nor: ")}`;
  }
  if (seen.read.error !== undefined) return `client got what is no HTTP: ${seen.read.error}`;
  if (seen.read.rest !== "" && !seen.tunnelled)
    return `client got bytes behind the answer: ${seen.read.rest.slice(0, 80)}`;
  if (seen.faults.length > 0 && verdict.kind !== "broken-body")
    return `stamp got what is not canonical: ${seen.faults[0]}`;
  switch (verdict.kind) {
    case "accept":
      return notAccepted(verdict, seen, lane);
    case "reject":
      return notRejected(verdict, seen, lane);
    case "refuse":
      return notRefused(verdict, seen);
    case "tunnel":
      if (!seen.tunnelled) return `no tunnel but ${statusesOf(seen)}`;
      return unequalRequests([verdict.request], seen.requests, lane, true);
    case "broken-body":
    case "unfinished":
      return notBroken(verdict, seen);
  }
}

function notAccepted(verdict: Extract<Verdict, { kind: "accept" }>, seen: Observed, lane: Lane): string | undefined {
  const statuses = seen.answers.map((answer) => answer.status);
  if (statuses.length !== verdict.requests.length || statuses.some((status) => status !== 200)) {
    return `expected ${verdict.requests.length} × 200 but ${statusesOf(seen)}`;
  }
  for (const [index, request] of verdict.requests.entries()) {
    const body = request.method === "HEAD" ? "" : `stamp saw ${request.method}`;
    if (seen.answers[index]?.body !== body) return `answer ${index} has another body: ${seen.answers[index]?.body}`;
  }
  const unequal = unequalRequests(verdict.requests, seen.requests, lane, false);
  if (unequal !== undefined) return unequal;
  if (verdict.continues === true && !seen.read.interim.includes(100)) return "no 100 Continue";
  if (verdict.connection === "kept" && !seen.kept) return `connection is not kept (${seen.ended})`;
  if (verdict.connection === "closed" && (seen.kept || seen.ended === "open")) return "connection is not closed";
  return undefined;
}

function notRejected(verdict: Extract<Verdict, { kind: "reject" }>, seen: Observed, lane: Lane): string | undefined {
  const { statuses, reasons, after } = verdict;
  const last = seen.answers.at(-1);
  if (seen.answers.length !== after.length + 1 || last === undefined) {
    return `expected ${after.length} × 200 and ${statuses.join("/")} but ${statusesOf(seen)}`;
  }
  if (!statuses.includes(last.status)) return `expected ${statuses.join("/")} but ${statusesOf(seen)}`;
  const reason = reasonOf(last.body);
  const hasBody = seen.methods[after.length] !== "HEAD";
  if (hasBody && reason === "") return `answer ${last.status} has no reason`;
  if (hasBody && reasons.length > 0 && !reasons.includes(reason))
    return `expected reason ${reasons.join("/")} but ${reason}`;
  const unequal = unequalRequests(after, seen.requests, lane, false);
  if (unequal !== undefined) return unequal;
  if (!saysClose(last)) return `${last.status} ${reason} without Connection: close`;
  if (seen.kept || seen.ended === "open") return "connection is not closed";
  return undefined;
}

function notRefused(verdict: Extract<Verdict, { kind: "refuse" }>, seen: Observed): string | undefined {
  const [answer] = seen.answers;
  if (seen.answers.length !== 1 || answer?.status !== verdict.status) {
    return `expected ${verdict.status} but ${statusesOf(seen)}`;
  }
  if (!verdict.reasons.includes(reasonOf(answer.body))) return `unexpected reason ${reasonOf(answer.body)}`;
  return seen.requests.length > 0 ? "a stamp saw it" : undefined;
}

function notBroken(
  verdict: Extract<Verdict, { kind: "broken-body" | "unfinished" }>,
  seen: Observed,
): string | undefined {
  if (seen.requests.length > 0) return `the stamp saw a complete request ${JSON.stringify(seen.requests[0])}`;
  if (seen.ended === "open") return "connection is not closed";
  const statuses = verdict.kind === "broken-body" ? verdict.statuses : [400, 408];
  const [answer] = seen.answers;
  if (answer === undefined) return undefined;
  if (seen.answers.length > 1 || !statuses.includes(answer.status)) return `unexpected ${statusesOf(seen)}`;
  return undefined;
}

function statusesOf({ answers, ended, requests }: Observed): string {
  const list = answers.map((answer) => `${answer.status} ${reasonOf(answer.body)}`.trim());
  return `answers [${list.join(", ")}], connection ${ended}, stamp saw ${requests.length}`;
}

function unequalRequests(
  expected: readonly Canonical[],
  seen: readonly ReadRequest[],
  lane: Lane,
  upgrade: boolean,
): string | undefined {
  if (expected.length !== seen.length) {
    const targets = seen.map(({ method, target }) => `${method} ${target}`);
    return `stamp saw ${seen.length} instead of ${expected.length} requests: ${targets.join(", ")}`;
  }
  for (const [index, request] of expected.entries()) {
    const found = seen[index];
    const problem = found === undefined ? "nothing" : unequal(request, found, lane, upgrade);
    if (problem !== undefined) return `request ${index} at the stamp: ${problem}`;
  }
  return undefined;
}

/** I8, I6: the one canonical form, signed, with exactly the client's end-to-end fields. */
function unequal(expected: Canonical, found: ReadRequest, lane: Lane, upgrade: boolean): string | undefined {
  if (found.version !== "1.1") return `version ${found.version}`;
  if (found.method !== expected.method) return `method ${found.method}`;
  if (found.target !== expected.target) return `target ${JSON.stringify(found.target)}`;
  if (found.body !== expected.body) return `body ${JSON.stringify(found.body.slice(0, 200))}`;
  const hosts = valuesOf(found.fields, "host");
  if (hosts.length !== 1 || hosts[0] !== expected.host) return `host ${JSON.stringify(hosts)}`;
  const routes = valuesOf(found.fields, "stampyard-route");
  if (routes.length !== 1 || !isRouteOf(routes[0] ?? "", lane)) return `route ${JSON.stringify(routes)}`;
  const lengths = valuesOf(found.fields, "content-length");
  if (lengths.some((length) => !/^(?:0|[1-9][0-9]*)$/.test(length))) return `length ${lengths[0]}`;
  const connection = valuesOf(found.fields, "connection").join(",");
  const expectedConnection = upgrade ? /^upgrade$/i : /^(?:|close|keep-alive)$/i;
  if (!expectedConnection.test(connection)) return `connection ${connection}`;
  const others = found.fields.filter(({ name }) => !written.has(name) && !(upgrade && name === "upgrade"));
  const left = JSON.stringify(others.map(({ name, value }) => [name, value]));
  const right = JSON.stringify(expected.fields.map(({ name, value }) => [name, value]));
  if (left !== right) return `fields ${left.slice(0, 400)} instead of ${right.slice(0, 400)}`;
  for (const name of written) if (valuesOf(found.fields, name).length > 1) return `${name} twice`;
  return undefined;
}
