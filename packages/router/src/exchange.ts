import type { IncomingMessage, ServerResponse } from "node:http";
import type { AcceptedRequest } from "./accept-request.ts";
import { type ProblemAnswer, problemAnswer, type RefusalReason } from "./refusals.ts";

/** One request and its answer, with what became known on the way; read once, when the answer ended. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly accepted: AcceptedRequest;
  readonly requestId: string;
  readonly peerAddress: string;
  readonly peerTrusted: boolean;
  /** The client waits for 100 before it sends its body. */
  readonly awaitsContinue: boolean;
  /** Told why the router answers by itself; the first reason is the one that counts. */
  readonly answeredBecause: (reason: string) => void;
}

/** How long an answer is held open for a client that is still sending what nobody reads. */
const lingerMs = 500;

/** Answers an exchange by the router itself. After the answer began it can only be broken off. */
export function refuseExchange(exchange: Exchange, reason: RefusalReason, detailReason?: string): void {
  exchange.answeredBecause(detailReason ?? reason);
  if (exchange.response.headersSent) {
    exchange.response.destroy();
    return;
  }
  const { requestId } = exchange;
  const options = { requestId, jitter: Math.random(), ...(detailReason === undefined ? {} : { detailReason }) };
  sendAnswer(exchange.request, exchange.response, problemAnswer(reason, options), { close: false });
}

/**
 * Writes an answer of ours. If the request's body is still on its way the connection ends after it: half-read bodies are
 * how one request becomes two. The end waits a moment, so that the client reads the answer before it sees a reset.
 */
export function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  answer: ProblemAnswer,
  options: { readonly close: boolean },
): void {
  const unread = !request.complete && bodyExpected(request);
  const close = options.close || unread;
  response.writeHead(answer.status, [...answer.headers, ...(close ? ["connection", "close"] : [])]);
  if (!unread) {
    response.end(answer.body);
    return;
  }
  response.write(answer.body);
  endAfterRequest(request, response);
}

/** Ends an answer that came before its request was read, and reads on for a moment: a reset could overtake the answer. */
export function endAfterRequest(request: IncomingMessage, response: ServerResponse): void {
  const timer = setTimeout(finish, lingerMs);
  function finish(): void {
    clearTimeout(timer);
    request.off("end", finish);
    request.off("close", finish);
    response.end();
  }
  request.once("end", finish);
  request.once("close", finish);
  request.resume();
}

function bodyExpected({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}
