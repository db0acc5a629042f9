import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { StampyardError } from "@stampyard/domain";
import type { CancelLine, HostAnswer, HostRequest } from "../control.ts";
import { redact, secretsOf } from "../goal.ts";
import type { Host } from "./state.ts";
import type { Work } from "./work.ts";

const maxRequestBytes = 16 * 1_048_576;

/** Listens on the private control socket. The lock is ours, so an old socket file is nobody's. */
export async function serveControl(host: Host, work: Work, onStopped: () => void): Promise<Server> {
  const path = host.place.controlSocket;
  rmSync(path, { force: true });
  const server = createServer((socket) => void talk(socket, host, work, onStopped));
  await new Promise<void>((settle, fail) => {
    server.once("error", fail);
    server.listen({ path }, settle);
  });
  chmodSync(path, 0o600);
  return server;
}

function talk(socket: Socket, host: Host, work: Work, onStopped: () => void): void {
  const abort = new AbortController();
  const answer = (line: HostAnswer) => {
    if (socket.writable) socket.write(`${JSON.stringify(line)}\n`);
  };
  let begun = false;
  socket.on("error", () => {}); // A caller that died is no reason to stop what it asked for.
  socket.on("data", () => {
    if (!begun && socket.bytesRead > maxRequestBytes) socket.destroy();
  });
  const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
  lines.on("error", () => {});
  lines.on("line", (text) => {
    let line: HostRequest | CancelLine;
    try {
      line = JSON.parse(text) as HostRequest | CancelLine;
    } catch {
      socket.destroy();
      return;
    }
    if (line.op === "cancel") {
      abort.abort(new StampyardError("CANCELLED", "The caller cancelled"));
      return;
    }
    if (begun) return;
    begun = true;
    const request = line;
    work
      .handle(request, (event) => answer({ kind: "progress", event }), abort.signal)
      .then((observation) => answer({ kind: "done", observation }))
      .catch((error) => {
        if (!(error instanceof StampyardError)) console.error("Unexpected failure", error);
        answer(errorAnswer(error, host, request));
      })
      .finally(() => {
        socket.end(() => {
          if (request.op === "stop") onStopped();
        });
      });
  });
}

function errorAnswer(error: unknown, host: Host, request: HostRequest): HostAnswer {
  const known = StampyardError.from(error);
  const goal = "goal" in request ? request.goal : host.goal;
  const cause = known.cause instanceof Error && known.code === "INTERNAL" ? `: ${known.cause.message}` : "";
  const message = redact(`${known.message}${cause}`, goal === undefined ? [] : secretsOf(goal));
  return { kind: "error", code: known.code, message, ...(known.mend === undefined ? {} : { mend: known.mend }) };
}
