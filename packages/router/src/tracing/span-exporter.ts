import { randomBytes } from "node:crypto";
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { AccessEntry, AccessSink } from "../access-log.ts";
import { exportBody, type OtlpSpan, spanOf } from "./otlp.ts";

export interface TracingConfig {
  /** Where spans are posted, as OTLP/HTTP in JSON; with the path. */
  readonly url: string;
  /** May hold a credential. */
  readonly headers: Readonly<Record<string, string>>;
  readonly service: string;
}

export interface SpanExporter extends AccessSink {
  /** Spans that the collector took, and spans that were lost because it was slow, away, or refused them. */
  counts(): { readonly sent: number; readonly dropped: number };
  /** Sends what waits, for at most `closeMs`. */
  close(): Promise<void>;
}

const mostWaiting = 2_048;
const mostPerExport = 512;
const everyMs = 1_000;
const timeoutMs = 5_000;
const closeMs = 1_000;

/**
 * Exports the requests whose caller sampled them. One export is on its way at a time; what does not fit in the queue
 * meanwhile is dropped and counted, and nothing is sent twice: requests never wait for a collector.
 */
export function createSpanExporter(config: TracingConfig, instance: string): SpanExporter {
  const post = poster(config);
  let waiting: OtlpSpan[] = [];
  let sent = 0;
  let dropped = 0;
  let sending: Promise<void> | undefined;

  async function sendBatch(): Promise<void> {
    const batch = waiting.splice(0, mostPerExport);
    const ok = await post.send(exportBody(batch, { service: config.service, instance }));
    if (ok) sent += batch.length;
    else dropped += batch.length;
  }
  function kick(): void {
    if (sending !== undefined || waiting.length === 0) return;
    sending = sendBatch().finally(() => {
      sending = undefined;
      if (waiting.length >= mostPerExport) kick();
    });
  }
  const timer = setInterval(kick, everyMs);
  timer.unref();

  return {
    write(entry: AccessEntry) {
      const span = spanOf(entry, spanId());
      if (span === undefined) return;
      if (waiting.length >= mostWaiting) {
        dropped += 1;
        return;
      }
      waiting.push(span);
      if (waiting.length >= mostPerExport) kick();
    },
    counts: () => ({ sent, dropped }),
    async close() {
      clearInterval(timer);
      const end = performance.now() + closeMs;
      while ((waiting.length > 0 || sending !== undefined) && performance.now() < end) {
        kick();
        await Promise.race([sending, new Promise((resolve) => setTimeout(resolve, end - performance.now()).unref())]);
      }
      dropped += waiting.length;
      waiting = [];
      post.close();
    },
  };
}

/** Random, so it may not be all zero, which means "none". */
function spanId(): string {
  const id = randomBytes(8).toString("hex");
  return id === "0000000000000000" ? "0000000000000001" : id;
}

function poster({ url, headers }: TracingConfig) {
  const secure = url.startsWith("https:");
  const agent = secure
    ? new HttpsAgent({ keepAlive: true, maxSockets: 1 })
    : new HttpAgent({ keepAlive: true, maxSockets: 1 });
  const request = secure ? httpsRequest : httpRequest;
  return {
    /** True if it was taken. */
    send(body: string): Promise<boolean> {
      return new Promise((resolve) => {
        const length = Buffer.byteLength(body);
        const options = {
          method: "POST",
          agent,
          headers: { ...headers, "content-type": "application/json", "content-length": length },
          signal: AbortSignal.timeout(timeoutMs),
        };
        const outgoing = request(url, options, (response) => {
          response.resume();
          response.on("error", () => resolve(false));
          response.on("close", () => resolve((response.statusCode ?? 0) < 300));
        });
        outgoing.on("error", () => resolve(false));
        outgoing.end(body);
      });
    },
    close: () => agent.destroy(),
  };
}
