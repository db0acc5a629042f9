import { readFile } from "node:fs/promises";
import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import {
  createFrameDecoder,
  entranceHeader,
  type DirectoryReport,
  type FeedAcknowledgement,
  type FeedMessage,
  type FeedPosition,
  type HoldAcknowledgement,
} from "@stampyard/directory";

export interface ControlPlaneOptions {
  /** e.g. `http://127.0.0.1:7400`, without path. */
  readonly url: string;
  /** Read at every call, so that a changed token needs no restart. */
  readonly tokenFile: string | undefined;
  readonly router: string;
  /** Where our own admin listener answers; shown to operators. */
  readonly adminUrl: string | undefined;
  /** Where clients enter us, for the control plane's own requests. */
  readonly entrance?: string | undefined;
}

/** Body of `POST /v1/feed/counts`: what this router has counted since it started. */
export interface CountsReport {
  readonly router: string;
  /** Random, made at the start: other counts begin with another one. */
  readonly life: string;
  /** Rises with every report of one life. */
  readonly number: number;
  /** By this router's clock, without jumps within one life; milliseconds since 1970. */
  readonly countedAt: number;
  readonly stamps: Readonly<
    Record<string, { readonly requests: number; readonly errors: number; readonly latency: readonly number[] }>
  >;
  readonly failing: readonly {
    readonly stamp: string;
    readonly tenant: string;
    readonly requests: number;
    readonly errors: number;
    readonly forMs: number;
  }[];
}

export interface CountsAnswer {
  /** Stamps of which every failing tenant is to be told. */
  readonly watched: readonly string[];
  /** How soon the next report is wanted, milliseconds. */
  readonly everyMs: number | undefined;
}

/** How a feed connection ended. */
export type FeedEnd =
  | { readonly kind: "closed"; readonly reason: string }
  /** `409 diverged`: our position is not in its history (decision D9). */
  | { readonly kind: "diverged"; readonly incarnation: number | undefined }
  | { readonly kind: "corrupt"; readonly reason: string }
  | { readonly kind: "refused"; readonly status: number };

export interface ControlPlane {
  /**
   * Follows the feed from a position until it ends or the signal aborts. `onMessage` returns false to end it.
   * Never rejects.
   */
  follow(
    from: FeedPosition,
    events: { readonly onMessage: (message: FeedMessage) => boolean },
    signal: AbortSignal,
  ): Promise<FeedEnd>;
  /** Rejects when it was not taken. */
  acknowledge(acknowledgement: FeedAcknowledgement, signal: AbortSignal): Promise<void>;
  /** Rejects when it was not taken, as by a control plane that does not know it. */
  acknowledgeHold(acknowledgement: HoldAcknowledgement, signal: AbortSignal): Promise<void>;
  /** Rejects when it was not taken. */
  report(report: DirectoryReport, signal: AbortSignal): Promise<void>;
  /** Rejects when it was not taken, with the answer's `status` as a property. */
  tellCounts(report: CountsReport, signal: AbortSignal): Promise<CountsAnswer>;
}

const feedMediaType = "application/vnd.stampyard.feed";
const callTimeoutMs = 10_000;
const mostAnswer = 1 << 20;
/** Before the hello says how often heartbeats come. */
const firstSilenceMs = 15_000;

export function createControlPlane(options: ControlPlaneOptions): ControlPlane {
  async function open(method: string, path: string, accept: string, signal: AbortSignal): Promise<ClientRequest> {
    const headers: Record<string, string> = { accept };
    if (options.tokenFile !== undefined) {
      headers["authorization"] = `Bearer ${(await readFile(options.tokenFile, "utf8")).trim()}`;
    }
    const url = new URL(path, options.url);
    const request = url.protocol === "https:" ? httpsRequest : httpRequest;
    // A connection of its own for each call: a few a minute, and none waits behind the feed.
    return request(url, { method, headers, signal, agent: false, maxHeaderSize: 16 * 1024 });
  }

  async function post(path: string, body: unknown, signal: AbortSignal): Promise<string> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(callTimeoutMs)]);
    const request = await open("POST", path, "application/json", limited);
    request.setHeader("content-type", "application/json");
    return await new Promise<string>((resolve, reject) => {
      request.on("error", reject);
      request.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (part: string) => {
          if (text.length < mostAnswer) text += part;
        });
        response.on("error", reject);
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          if (status >= 200 && status < 300) resolve(text);
          else reject(Object.assign(new Error(`Control plane answered ${status} to ${path}`), { status }));
        });
      });
      request.end(JSON.stringify(body));
    });
  }

  return {
    async follow(from, events, signal) {
      const query = new URLSearchParams({
        incarnation: `${from.incarnation}`,
        version: `${from.version}`,
        chain: from.chain,
        router: options.router,
        ...(options.adminUrl === undefined ? {} : { admin: options.adminUrl }),
      });
      try {
        const request = await open("GET", `/v1/directory/feed?${query}`, feedMediaType, signal);
        if (options.entrance !== undefined) request.setHeader(entranceHeader, options.entrance);
        return await readFeed(request, events);
      } catch (caught) {
        return { kind: "closed", reason: caught instanceof Error ? caught.message : "unknown" };
      }
    },
    acknowledge: async (acknowledgement, signal) => void (await post("/v1/directory/ack", acknowledgement, signal)),
    acknowledgeHold: async (acknowledgement, signal) =>
      void (await post("/v1/directory/hold", acknowledgement, signal)),
    report: async (report, signal) => void (await post("/v1/directory/report", report, signal)),
    tellCounts: async (report, signal) => readCountsAnswer(await post("/v1/feed/counts", report, signal)),
  };
}

/** A newer control plane may say more, and an older one nothing. */
function readCountsAnswer(text: string): CountsAnswer {
  const answer = (text === "" ? {} : JSON.parse(text)) as { readonly watched?: unknown; readonly everyMs?: unknown };
  const { watched, everyMs } = answer;
  return {
    watched: Array.isArray(watched) ? watched.filter((stamp) => typeof stamp === "string") : [],
    everyMs: typeof everyMs === "number" && Number.isFinite(everyMs) ? everyMs : undefined,
  };
}

/** Reads frames until the end of the response, a silence of three heartbeats, damage, or until nobody wants more. */
function readFeed(
  request: ClientRequest,
  events: { readonly onMessage: (message: FeedMessage) => boolean },
): Promise<FeedEnd> {
  return new Promise((resolve) => {
    const decoder = createFrameDecoder();
    let silence = setTimeout(onSilence, firstSilenceMs);
    let silenceMs = firstSilenceMs;
    const end = (how: FeedEnd) => {
      clearTimeout(silence);
      request.destroy();
      resolve(how);
    };
    function onSilence(): void {
      end({ kind: "closed", reason: "control plane is silent" });
    }
    request.on("error", (error) => end({ kind: "closed", reason: error.message }));
    request.on("response", (response) => {
      if (response.statusCode !== 200) {
        void readRefusal(response).then(end);
        return;
      }
      response.on("data", (bytes: Buffer) => {
        clearTimeout(silence);
        silence = setTimeout(onSilence, silenceMs);
        for (const event of decoder.push(bytes)) {
          if (event.kind === "corrupt") return end({ kind: "corrupt", reason: event.reason });
          if (event.message.kind === "hello") silenceMs = 3 * event.message.heartbeatMs + 1_000;
          if (!events.onMessage(event.message)) return end({ kind: "closed", reason: "ended by us" });
        }
      });
      response.on("error", (error) => end({ kind: "closed", reason: error.message }));
      response.on("close", () => end({ kind: "closed", reason: "control plane ended the feed" }));
    });
    request.end();
  });
}

async function readRefusal(response: IncomingMessage): Promise<FeedEnd> {
  const status = response.statusCode ?? 0;
  let text = "";
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > 64 * 1024) break;
    }
    const problem = JSON.parse(text) as { readonly incarnation?: unknown };
    const { incarnation } = problem;
    if (status === 409)
      return { kind: "diverged", incarnation: typeof incarnation === "number" ? incarnation : undefined };
  } catch {
    // A body that cannot be read says nothing; the status does.
  }
  return status === 409 ? { kind: "diverged", incarnation: undefined } : { kind: "refused", status };
}
