import { createServer, Server, Socket } from "node:net";
import { decodeSnapshot, type Directory } from "@stampyard/directory";
import { StampyardError } from "@stampyard/domain";
import { sha256, snapshotPorts } from "../snapshot-file.ts";
import { stderrLog } from "../log.ts";
import { type OpenPlane, openPlane } from "../open-plane.ts";
import { beatMs, type FromWorker, type ToWorker, type WorkerPulse } from "./messages.ts";

/**
 * One process that serves requests. It knows what its parent told it and goes on with that when the parent dies (D17):
 * then it ends on SIGTERM, which the parent's successor or `stampyard down` sends.
 */

let open: OpenPlane | undefined;
let directory: Directory | undefined;
let drainMs = 10_000;
/** In place of the plane's own, where the parent's socket is shared. */
let shared: Server | undefined;
let listening = false;
let ending = false;
let sentTotal = -1;
let lateMs = 0;
let beatDue = performance.now() + beatMs;

function tell(message: FromWorker): void {
  // A parent that just died is noticed by "disconnect"; until then sending may fail and must not end us.
  if (process.connected) process.send?.(message, undefined, {}, () => {});
}

function receive(message: ToWorker, handle: unknown): void {
  if (message.kind === "begin") {
    begin(message);
    return;
  }
  if (open === undefined) return;
  const { plane } = open;
  switch (message.kind) {
    case "table": {
      const decoded = decodeSnapshot(message.bytes, sha256, snapshotPorts);
      // Never serve without what the others have: the parent starts another one.
      if (decoded.kind === "corrupt")
        return void fail(new StampyardError("INTERNAL", `Table is damaged: ${decoded.reason}`));
      directory = decoded.directory;
      plane.replaceDirectory(directory);
      tell({ kind: "applied", seq: message.seq });
      return;
    }
    case "changes":
      for (const change of message.changes) {
        const refusal = directory?.apply(change);
        if (refusal !== undefined) return void fail(new StampyardError("INTERNAL", `Change is refused: ${refusal}`));
        plane.directoryChanged(change);
      }
      tell({ kind: "applied", seq: message.seq });
      return;
    case "hold":
      plane.hold(message);
      return;
    case "release":
      plane.release(message);
      return;
    case "tenant-parts":
      plane.tenantRates.setParts(message.parts);
      return;
    case "keys":
      plane.setKeys(message.stamp, message.keys);
      return;
    case "listen":
      plane.listen(message.host, message.port, { reusePort: true }).then(
        (port) => {
          listening = true;
          tell({ kind: "listening", port, securePort: plane.securePort() });
        },
        (caught: unknown) => fail(caught),
      );
      return;
    case "listen-shared":
      if (handle instanceof Server) listenShared(handle, open);
      return;
    case "connection":
      if (handle instanceof Socket) adopt(handle, open);
      return;
    case "report":
      tell({
        kind: "report",
        id: message.id,
        pulse: pulse(open, true),
        tenantInFlight: message.tenant === undefined ? 0 : plane.inFlightOf(message.tenant),
        unresolved: plane.routeState().unresolved.rows(),
        certificates: plane.certificates(),
      });
      return;
    case "reopen-log":
      open.reopenLog();
      return;
    case "drain":
      drainMs = message.ms;
      void drain();
      return;
  }
}

/** Accepts from the socket that the parent opened; it stays open here when the parent dies. */
function listenShared(from: Server, { plane }: OpenPlane): void {
  shared = createServer({ allowHalfOpen: true, noDelay: true }, plane.accept);
  shared.on("error", () => {});
  shared.listen(from, () => {
    listening = true;
    const address = shared?.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    tell({ kind: "listening", port, securePort: 0 });
  });
}

function adopt(socket: Socket, { plane }: OpenPlane): void {
  socket.allowHalfOpen = true;
  if (ending) socket.destroy();
  else plane.accept(socket);
}

function begin({ config, shares, keys }: Extract<ToWorker, { kind: "begin" }>): void {
  open = openPlane(config, shares);
  drainMs = config.drainMs ?? drainMs;
  for (const [stamp, list] of keys) open.plane.setKeys(stamp, list);
  // The table, if there is one, is right behind in the channel; whoever tells us to listen sends it first.
  tell({ kind: "ready" });
  beatDue = performance.now() + beatMs;
  const timer = setInterval(beat, beatMs);
  // Alone it does not keep a process alive that has nothing to serve and nobody to tell.
  process.once("disconnect", () => clearInterval(timer));
}

function beat(): void {
  const now = performance.now();
  lateMs = Math.max(lateMs, now - beatDue);
  beatDue = now + beatMs;
  if (open !== undefined && !ending) {
    tell({ kind: "beat", demand: open.plane.tenantRates.demand(), ...pulse(open, false) });
  }
}

function pulse({ plane, metrics, losses }: OpenPlane, always: boolean): WorkerPulse {
  const counts = metrics.counts();
  let total = 0;
  for (const { requests } of counts.stamps.values()) total += requests;
  for (const count of counts.refusals.values()) total += count;
  const changed = always || total !== sentTotal;
  sentTotal = total;
  const late = lateMs;
  lateMs = 0;
  return {
    inFlight: plane.inFlight(),
    connections: plane.connections(),
    tripped: plane.tripped(),
    ...(changed ? { counts } : {}),
    losses: losses(),
    rssBytes: process.memoryUsage.rss(),
    lateMs: Math.max(0, Math.round(late)),
  };
}

/**
 * A socket that is closed takes the connections in its queue with it, and the system gives none of them to the sockets of
 * other processes. So it is closed at the one moment when the queue was just emptied: right behind a turn of accepting.
 */
async function acceptedAll(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function drain(): Promise<void> {
  if (ending || open === undefined) return;
  ending = true;
  const { plane, closeLogs } = open;
  await acceptedAll();
  shared?.close();
  await plane.close(drainMs);
  await closeLogs();
  const last: FromWorker = { kind: "drained", ...pulse(open, true) };
  if (!process.connected) process.exit(0);
  process.send?.(last, undefined, {}, () => process.exit(0));
}

function fail(caught: unknown): void {
  const error = StampyardError.from(caught);
  const code = (caught as NodeJS.ErrnoException).code ?? error.code;
  const said: FromWorker = {
    kind: "failed",
    code,
    message: error.cause instanceof Error ? error.cause.message : error.message,
  };
  stderrLog("error", "worker ends", { pid: process.pid, code: said.code, reason: said.message });
  if (!process.connected) process.exit(1);
  process.send?.(said, undefined, {}, () => process.exit(1));
}

// Logs may go to a pipe whose reader was the parent's; losing lines must not end who serves.
process.stderr.on("error", () => {});
process.stdout.on("error", () => {});
process.on("message", (message, handle) => receive(message as ToWorker, handle));
process.on("disconnect", () => {
  // Nobody may know of us yet.
  if (!listening) process.exit(0);
  if (!ending) stderrLog("warn", "parent is gone, worker serves on", { pid: process.pid });
});
process.on("SIGTERM", () => {
  if (!listening) process.exit(0);
  // The second one ends it at once.
  if (ending) process.exit(1);
  void drain();
});
// Ctrl-C reaches the whole group; while there is a parent it decides.
process.on("SIGINT", () => {
  if (!process.connected) void drain();
});
process.on("SIGHUP", () => open?.reopenLog());
