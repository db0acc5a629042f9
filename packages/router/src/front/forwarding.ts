import type { Endpoint } from "@stampyard/domain";
import type { Permit } from "../bulkhead/breaker.ts";
import type { Decision } from "../decide.ts";
import { endRoute, type Found, type FoundRoute, type Routed, routeOrWait } from "../find-route.ts";
import type { RequestHead } from "../http1/request-head.ts";
import { inboundRequestId, isLooping, requestText } from "../http1/request-text.ts";
import type { ResponseHead } from "../http1/response-head.ts";
import { guardReasonOf, problemAnswer, type RefusalDetail, type RefusalReason } from "../refusals.ts";
import { newRequestId } from "../request-id.ts";
import { answerLines } from "./answer-lines.ts";
import type { ClientSide, Exchange } from "./exchange.ts";
import { forgetLongLived, keepLongLived, type LongLived } from "./long-lived.ts";
import { waitForConnection } from "./queueing.ts";
import { record } from "./record.ts";
import { isRepeatable, outcomeOf } from "./repeats.ts";
import type { Serving } from "./serving.ts";
import { mostRepeats, type StampPool, type Waiting } from "./stamp-pool.ts";
import { openTunnel, type Tunnel } from "./tunnel.ts";
import { Upstream, type UpstreamFault, type UpstreamUser } from "./upstream.ts";
import { isValidSwitch } from "./websocket.ts";

/** An exchange that goes to the home of its tenant. `start` begins it. */
export function forwardExchange(
  serving: Serving,
  client: ClientSide,
  head: RequestHead,
  peerTrusted: boolean,
): Exchange {
  return new Forwarding(serving, client, head, peerTrusted);
}

/**
 * - `routing` has no stamp yet, or waits for the end of a hold or for a connection
 * - `sending` has sent the head; the answer has not begun
 * - `answering` passes the answer on
 * - `tunnel` passes bytes both ways
 */
type State = "routing" | "sending" | "answering" | "tunnel" | "ended";

class Forwarding implements Exchange, Routed, UpstreamUser, Waiting, LongLived {
  readonly head: RequestHead;
  readonly isHead: boolean;
  readonly #serving: Serving;
  readonly #client: ClientSide;
  readonly #peerTrusted: boolean;
  readonly #startedAt: number;
  readonly #requestId: string;
  #state: State = "routing";
  #forget: (() => void) | undefined;
  #route: FoundRoute | undefined;
  #decision: Decision | undefined;
  #pool: StampPool | undefined;
  #permit: Permit | undefined;
  #upstream: Upstream | undefined;
  #endWait: (() => void) | undefined;
  #endpoint = 0;
  /** A kept connection was found closed: the next try takes a new one. */
  #fresh = false;
  #body: Buffer | undefined;
  /** The whole request is sent. */
  #sent = false;
  #status = 0;
  #reason: string | undefined;
  #recorded = false;
  #tunnel: Tunnel | undefined;
  #eventsMs: number | undefined;

  constructor(serving: Serving, client: ClientSide, head: RequestHead, peerTrusted: boolean) {
    this.#serving = serving;
    this.#startedAt = serving.wheel.now();
    this.#client = client;
    this.head = head;
    this.isHead = head.method === "HEAD";
    this.#peerTrusted = peerTrusted;
    this.#requestId = (peerTrusted ? inboundRequestId(head) : undefined) ?? newRequestId();
  }

  start(body: Buffer | undefined): void {
    const { head } = this;
    const { peer } = this.#client;
    this.#serving.inFlight += 1;
    this.#body = body;
    if (peer.allowsHost !== undefined && !peer.allowsHost(head.hostName)) {
      this.#refuse("misdirected");
      return;
    }
    if (isLooping(head)) {
      this.#refuse("loop");
      return;
    }
    const asking = { request: head, accepted: head, peerAddress: peer.address, peerTrusted: this.#peerTrusted };
    const forget = routeOrWait(this.#serving, asking, this);
    if (this.#state === "routing" && this.#route === undefined) this.#forget = forget;
  }
  onRoute(found: Found): void {
    this.#forget = undefined;
    this.#decision = found.decision;
    if (found.kind === "refuse") {
      this.#refuse(found.reason, undefined, found.detail);
      return;
    }
    this.#route = found;
    const { pool } = found;
    const tunnel = this.head.webSocketKey !== "";
    const isFull = (tunnel ? pool.tunnels : pool.inFlight) >= this.#serving.maxInFlightPerStamp;
    if (isFull || (tunnel && this.#serving.draining)) {
      this.#refuse("too-busy");
      return;
    }
    const permit = this.#serving.breakers.enter(pool.stamp);
    if (typeof permit === "number") {
      this.#refuse("stamp-unreachable", undefined, { retryAfterMs: permit });
      return;
    }
    this.#permit = permit;
    this.#pool = pool;
    if (tunnel) {
      pool.tunnels += 1;
      keepLongLived(this.#serving, found.decision.tenant ?? "", this);
    } else pool.inFlight += 1;
    this.#try();
  }
  onBodyBytes(bytes: Buffer): boolean {
    const upstream = this.#upstream;
    if (upstream === undefined || this.#sent) return true;
    if (this.head.body === "length") return upstream.writeBytes(bytes);
    upstream.cork();
    upstream.writeText(`${bytes.length.toString(16)}\r\n`);
    upstream.writeBytes(bytes);
    const flows = upstream.writeText("\r\n");
    upstream.uncork();
    return flows;
  }
  holdsBody(): boolean {
    return this.#upstream?.holdsBytes() ?? false;
  }
  onBodyEnd(): void {
    if (this.#state === "ended") return;
    if (this.head.body === "chunked") this.#upstream?.writeText("0\r\n\r\n");
    this.#sent = true;
    this.#upstream?.awaitAnswer(this.#serving.timeouts);
  }
  onBodyBroken(reason: "bad-framing" | "request-timeout"): void {
    this.#refuse(reason);
  }
  onClientDrain(): void {
    this.#upstream?.resume();
  }
  onClientGone(): void {
    if (this.#state === "ended") return;
    if (this.#state === "tunnel") this.#endTunnel();
    else this.#settle("abandoned");
  }
  onTunnelBytes(bytes: Buffer): boolean {
    return this.#upstream?.writeBytes(bytes) ?? true;
  }
  onTunnelEnd(): void {
    this.#upstream?.endTunnel();
  }
  get stamp(): string {
    return this.#pool?.stamp ?? "";
  }
  get epoch(): number {
    return this.#route?.decision.epoch ?? 0;
  }
  leave(): void {
    if (this.#state === "tunnel") this.#tunnel?.leave();
    if (this.#state !== "answering" || this.#eventsMs === undefined) return;
    // Given back unfinished, the stamp's connection is ended.
    this.#settle("abandoned");
    this.#client.end();
  }
  onConnected(upstream: Upstream): void {
    this.#send(upstream);
  }
  onFree(): void {
    this.#endWait?.();
    this.#try();
  }
  onInformational(status: number, lines: string): void {
    this.#client.inform(status, lines);
  }
  onAnswer(head: ResponseHead, body: string | undefined): void {
    const { status, refusal } = head;
    if (refusal !== undefined) {
      this.#refuse("route-refused", guardReasonOf(refusal));
      return;
    }
    const lines = `${head.lines}x-request-id: ${this.#requestId}\r\n`;
    this.#status = status;
    if (body !== undefined) {
      const bodiless = this.isHead || status === 204 || status === 304;
      const length = status === 204 ? -1 : head.length;
      // Before the client goes on to its next request, which may want the same connection.
      this.#settle("success");
      if (!bodiless) this.#client.whole(status, lines, body);
      else {
        this.#client.begin(status, lines, { kind: "none" }, length);
        this.#client.end();
      }
      return;
    }
    this.#state = "answering";
    const length = head.chunked ? -1 : head.length;
    // An answer without an end of its own, whose reader comes again by itself when it ends.
    if (head.eventStream && length < 0) {
      this.#eventsMs = this.#serving.wheel.now() - this.#startedAt;
      keepLongLived(this.#serving, this.#route?.decision.tenant ?? "", this);
    }
    this.#client.begin(status, lines, length < 0 ? { kind: "open" } : { kind: "length", length }, -1);
  }
  onAnswerBytes(bytes: Buffer): boolean {
    return this.#client.write(bytes);
  }
  holdsBytes(): boolean {
    return this.#client.holdsBytes?.() ?? true;
  }
  onAnswerEnd(): void {
    this.#settle("success");
    this.#client.end();
  }
  onSwitched(head: ResponseHead, rest: Buffer): void {
    if (!isValidSwitch(this.head.webSocketKey, head)) {
      this.#refuse("bad-response");
      return;
    }
    this.#state = "tunnel";
    this.#status = 101;
    this.#record();
    if (this.#permit !== undefined) this.#serving.breakers.leave(this.#pool?.stamp ?? "", this.#permit, "success");
    this.#permit = undefined;
    this.#client.openTunnel(`${head.lines}x-request-id: ${this.#requestId}\r\n`);
    this.#tunnel = openTunnel(this.#client, this.#serving.wheel, () => this.#endBothSides());
    if (rest.length > 0) this.#tunnel.fromStamp(rest);
  }
  onStampTunnelBytes(bytes: Buffer): boolean {
    return this.#tunnel?.fromStamp(bytes) ?? true;
  }
  onUpstreamDrain(): void {
    this.#client.resumeBody();
  }
  onBroken(cause: UpstreamFault, upstream: Upstream): void {
    this.#upstream = undefined;
    const { reused, heard } = upstream;
    switch (this.#state) {
      case "tunnel":
        this.#endBothSides();
        return;
      case "answering":
        // A body that was cut off must look cut off to the client too.
        this.#settle("failure");
        this.#client.cut();
        return;
      case "routing":
        // Nothing was sent, so the next endpoint is the first that hears of the request (I7).
        this.#pool?.avoid(upstream.lane);
        this.#endpoint += 1;
        this.#try();
        return;
      case "sending":
        this.#afterSilence(cause, reused && !heard);
        return;
    }
  }

  /** Takes or opens a connection to the next endpoint, or waits for one. */
  #try(): void {
    const pool = this.#pool;
    const endpoint: Endpoint | undefined = this.#route?.endpoints[this.#endpoint];
    if (pool === undefined || endpoint === undefined) {
      this.#refuse("stamp-unreachable");
      return;
    }
    const lane = pool.lane(endpoint);
    const tunnel = this.head.webSocketKey !== "";
    const kept = tunnel || this.#fresh ? undefined : pool.take(lane);
    if (kept !== undefined) {
      this.#upstream = kept;
      this.#send(kept);
      return;
    }
    if (!tunnel && pool.connections >= this.#serving.maxConnectionsPerStamp) {
      this.#endWait = waitForConnection(pool, this, this.#serving, () => this.#refuse("too-busy"));
      return;
    }
    this.#upstream = new Upstream(pool, lane, this.#serving, this, !tunnel);
  }

  #send(upstream: Upstream): void {
    const route = this.#route;
    if (route === undefined) return;
    const { peer } = this.#client;
    const text = requestText(this.head, {
      target: route.target,
      peerAddress: peer.address,
      scheme: peer.scheme,
      requestId: this.#requestId,
      route: route.route,
    });
    this.#state = "sending";
    const body = this.#body;
    this.#sent =
      this.head.body === "none" || body !== undefined || (this.head.body === "length" && this.head.length === 0);
    const whole = body === undefined ? text : text + body.toString("latin1", 0, body.length);
    upstream.send(this, whole, this.#serving.timeouts, this.#sent);
    if (!this.#sent) this.#client.wantBody();
  }

  /** The connection ended, or fell silent, before the answer began. */
  #afterSilence(cause: UpstreamFault, stale: boolean): void {
    if (cause === "stamp-timeout" || cause === "bad-response") {
      this.#refuse(cause);
      return;
    }
    const pool = this.#pool;
    const harmless = isRepeatable(this.head);
    // A kept connection that ends without a word was most likely ending already; only what changes nothing is sent
    // again, once, and only as long as this is the exception (I7).
    if (harmless && stale && !this.#fresh && pool !== undefined && pool.repeats >= 1) {
      pool.repeats -= 1;
      this.#fresh = true;
      this.#state = "routing";
      this.#try();
      return;
    }
    this.#refuse(harmless ? "stamp-unreachable" : "stamp-closed");
  }

  /** Answers by the router itself. After the answer began it can only be broken off. */
  #refuse(reason: RefusalReason, guardReason?: string, detail?: RefusalDetail): void {
    if (this.#state === "ended" || this.#state === "tunnel") return;
    this.#reason ??= guardReason ?? reason;
    if (this.#state === "answering") {
      this.#settle("failure");
      this.#client.cut();
      return;
    }
    const { status, headers, body } = problemAnswer(reason, {
      ...detail,
      requestId: this.#requestId,
      jitter: Math.random(),
      ...(guardReason === undefined ? undefined : { detailReason: guardReason }),
    });
    this.#status = status;
    this.#settle(outcomeOf(reason));
    this.#client.whole(status, answerLines(headers), body);
  }

  /** Counts, logs and gives back everything; called once, before the client may go on. */
  #settle(outcome: "success" | "failure" | "abandoned"): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#serving.inFlight -= 1;
    this.#forget?.();
    this.#record(outcome === "failure" && this.#reason === undefined && this.#eventsMs === undefined);
    const pool = this.#pool;
    const route = this.#route;
    if (pool !== undefined) {
      this.#endWait?.();
      const tunnel = this.head.webSocketKey !== "";
      if (tunnel) pool.tunnels -= 1;
      else pool.inFlight -= 1;
      if (tunnel || this.#eventsMs !== undefined) forgetLongLived(this.#serving, route?.decision.tenant ?? "", this);
      if (pool.repeats < mostRepeats) pool.repeats += 0.1;
      if (this.#permit !== undefined) this.#serving.breakers.leave(pool.stamp, this.#permit, outcome);
    }
    if (route !== undefined) endRoute(this.#serving, route);
    const upstream = this.#upstream;
    this.#upstream = undefined;
    upstream?.release(outcome === "success" && this.#sent);
  }

  #record(cut = false): void {
    if (this.#recorded) return;
    this.#recorded = true;
    record(this.#serving, this.head, {
      requestId: this.#requestId,
      decision: this.#decision,
      reason: this.#reason,
      status: this.#status,
      ms: this.#serving.wheel.now() - this.#startedAt,
      beganMs: this.#eventsMs,
      cut,
    });
  }
  #endBothSides(): void {
    this.#client.endTunnel();
    this.#endTunnel();
  }
  #endTunnel(): void {
    this.#tunnel?.ended();
    const upstream = this.#upstream;
    this.#upstream = undefined;
    this.#settle("success");
    // What it was sent last shall arrive.
    upstream?.endTunnel();
  }
}
