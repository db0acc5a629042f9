import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import type { ComponentObservation, Endpoint, Instant, Stamp, StampObservation } from "@stampyard/domain";

/** Longest wait for one endpoint, in milliseconds. */
const answerWithinMs = 3_000;

/**
 * What can be seen of a stamp that no engine of ours runs: whether its endpoints answer. It is asked for its health path
 * if one was given, and otherwise whether somebody accepts a connection; nothing else of it is touched.
 */
export async function observeAdopted(stamp: Stamp, now: Instant, signal: AbortSignal): Promise<StampObservation> {
  const endpoints = stamp.adoption?.endpoints ?? [];
  const path = stamp.adoption?.healthPath;
  const components = await Promise.all(
    endpoints.map(async (endpoint, replica): Promise<ComponentObservation> => {
      const reason = await whySilent(endpoint, path, AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]));
      const seen = { name: `${endpoint.host}:${endpoint.port}`, replica, restarts: 0, since: now } as const;
      return reason === undefined ? { ...seen, status: "healthy" } : { ...seen, status: "unhealthy", reason };
    }),
  );
  signal.throwIfAborted();
  // It is what it is: there is no release that it could differ from.
  const { name: stampName, stampDigest } = stamp;
  const endpointRevision = revisionOf(endpoints);
  return { stamp: stampName, presence: "present", host: "up", stampDigest, components, endpoints, endpointRevision };
}

/** Endpoints that were named anew get another number, and the directory hears of them. */
function revisionOf(endpoints: readonly Endpoint[]): number {
  let hash = 1;
  for (const char of endpoints.map(({ host, port }) => `${host} ${port}`).join("\n")) {
    hash = (hash * 31 + (char.codePointAt(0) ?? 0)) % 1_000_000_007;
  }
  return hash;
}

async function whySilent(
  endpoint: Endpoint,
  path: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    if (path === undefined) return await accepts(endpoint, signal);
    const status = await statusOf(endpoint, path, signal);
    return status < 500 ? undefined : `${path} answers ${status}`;
  } catch (caught) {
    return signal.aborted ? `no answer in ${answerWithinMs} ms` : (caught as Error).message;
  }
}

function accepts({ host, port }: Endpoint, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.on("error", reject);
    socket.on("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
  });
}

function statusOf({ host, port }: Endpoint, path: string, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host, port, path, agent: false, signal });
    request.on("error", reject);
    request.on("response", (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    request.end();
  });
}
