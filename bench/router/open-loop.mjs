/**
 * A load that does not wait for answers: requests leave by a fixed schedule over kept connections, and the time of each is
 * counted from when it should have left. A proxy that stands still for a moment is charged with every request of that
 * moment, which a load that waits for answers forgets to send.
 *
 * Runs as a process of its own: one argument, JSON of {port, rate, seconds, connections, tenants, first}. It says {ready},
 * begins at once, and gives its figures when the time is over or the parent says "stop".
 */
import { connect } from "node:net";

const settings = JSON.parse(process.argv[2]);
const { port, rate, connections, tenants } = settings;
const spacingMs = 1_000 / rate;
const warmMs = 200;
const patienceMs = 5_000;
/** The last request of the schedule. */
const most = Math.ceil((settings.seconds * 1_000 + warmMs) / spacingMs);
const bodyLength = 200;

/** Built before: making them would take time from sending them. All tenants get their turn, in a scattered order. */
const heads = Array.from({ length: Math.min(most, 25_000) }, (_, n) => {
  const tenant = ((settings.first + n) * 7_919) % tenants;
  return Buffer.from(
    `GET /small?x=1 HTTP/1.1\r\nAccept: application/json\r\nUser-Agent: bench\r\nAccept-Encoding: gzip\r\nCookie: session=0123456789abcdef0123456789abcdef\r\nHost: t${tenant}.bench.test\r\n\r\n`,
    "latin1",
  );
});
const latency = new Float64Array(most);
const lateness = new Float64Array(most);
const counts = { answered: 0, sent: 0, errors: 0, statuses: 0, reconnects: 0 };
const idle = [];
const lent = Buffer.allocUnsafe(65_536);
let startedAt = 0;
let cpuBefore;
let stopAt = Number.POSITIVE_INFINITY;
let over = false;

const dueAt = (request) => startedAt + request * spacingMs;

/** Sends what is due as long as a connection is free; the others wait, and their time runs. */
function pump() {
  if (startedAt === 0 || over) return;
  for (let now = performance.now(); idle.length > 0; now = performance.now()) {
    const request = counts.sent;
    const due = dueAt(request);
    if (due > now) return;
    if (request >= most || due > stopAt) return finishWhenAnswered();
    counts.sent += 1;
    const connection = idle.shift();
    connection.request = request;
    lateness[request] = now - due;
    connection.socket.write(heads[request % heads.length]);
  }
}

function open() {
  const connection = { socket: undefined, request: -1, text: "", missing: undefined, closes: false };
  const onread = { buffer: lent, callback: (length) => read(connection, length) };
  connection.socket = connect({ port, host: "127.0.0.1", noDelay: true, onread });
  connection.socket.on("error", () => {});
  connection.socket.once("connect", () => {
    idle.push(connection);
    pump();
  });
  connection.socket.once("close", () => {
    const at = idle.indexOf(connection);
    if (at >= 0) idle.splice(at, 1);
    if (connection.request >= 0) counts.errors += 1;
    if (over) return;
    counts.reconnects += 1;
    // Not at once: a server that refuses would be asked without end.
    setTimeout(open, 1);
  });
}

function read(connection, length) {
  const { request } = connection;
  if (connection.missing === undefined) readHead(connection, length);
  else connection.missing -= length;
  if (connection.missing === undefined || connection.missing > 0) return true;
  if (connection.missing < 0 || request < 0) counts.statuses += 1;
  if (request >= 0) {
    latency[request] = performance.now() - dueAt(request);
    counts.answered += 1;
  }
  connection.request = -1;
  connection.missing = undefined;
  connection.text = "";
  if (connection.closes) connection.socket.end();
  else idle.push(connection);
  pump();
  return true;
}

/** Takes the head of an answer, and sets how much of its body is missing. */
function readHead(connection, length) {
  const text = connection.text + lent.latin1Slice(0, length);
  const end = text.indexOf("\r\n\r\n");
  connection.text = text;
  if (end < 0) return;
  if (text.slice(9, 12) !== "200") counts.statuses += 1;
  connection.closes = /\r\nconnection: *close/i.test(text);
  connection.missing = end + 4 + bodyLength - text.length;
}

/** Everything was sent; what is under way gets its time. */
function finishWhenAnswered() {
  if (over) return;
  const until = performance.now() + patienceMs;
  const check = () => {
    const waiting = counts.sent - counts.answered - counts.errors;
    if (waiting > 0 && performance.now() < until) return void setTimeout(check, 5);
    over = true;
    process.send(figures(waiting), () => process.exit(0));
  };
  over = "sent";
  check();
}

function figures(unanswered) {
  const first = Math.ceil(warmMs / spacingMs);
  const times = latency
    .slice(first, counts.sent)
    .filter((ms) => ms > 0)
    .sort();
  const due = Math.min(most, Math.floor((Math.min(performance.now(), stopAt) - startedAt) / spacingMs));
  const late = lateness.slice(first, counts.sent).sort();
  const of = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  const { user, system } = process.cpuUsage(cpuBefore);
  const ms = performance.now() - startedAt;
  return {
    requests: times.length,
    rate,
    p50Ms: of(times, 0.5),
    p90Ms: of(times, 0.9),
    p99Ms: of(times, 0.99),
    maxMs: times.at(-1) ?? 0,
    lateP50Ms: of(late, 0.5),
    lateP99Ms: of(late, 0.99),
    errors: counts.errors + counts.statuses + unanswered,
    lost: counts.errors,
    wrong: counts.statuses,
    unanswered,
    unsent: Math.max(0, due - counts.sent),
    reconnects: counts.reconnects,
    generatorCpu: (user + system) / 1_000 / ms,
  };
}

process.on("message", (message) => {
  if (message === "stop") stopAt = performance.now();
});
process.on("disconnect", () => process.exit(1));
for (let n = 0; n < connections; n++) open();
const opened = setInterval(() => {
  if (idle.length < connections) return;
  clearInterval(opened);
  process.send({ ready: true });
  begin();
}, 5);

function begin() {
  cpuBefore = process.cpuUsage();
  startedAt = performance.now();
  // A proxy that cannot keep up is not waited for.
  setTimeout(finishWhenAnswered, settings.seconds * 1_000 + warmMs + patienceMs);
  // Timers are too coarse for a schedule in microseconds, so this never sleeps; its scheduling class gives way to all else.
  spin();
}

function spin() {
  pump();
  if (over !== true) setImmediate(spin);
}
