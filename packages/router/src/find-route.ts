import type { IncomingMessage } from "node:http";
import type { DirectoryView } from "@stampyard/directory";
import type { Endpoint } from "@stampyard/domain";
import type { AcceptedRequest } from "./accept-request.ts";
import { type Decision, decide, type RequestFacts } from "./decide.ts";
import { requestHeaders } from "./forwarded-headers.ts";
import type { RefusalReason } from "./refusals.ts";
import type { RouteSigner } from "./route-signer.ts";
import type { StampPool, StampPools } from "./stamp-pool.ts";
import type { TrustedPeers } from "./trusted-peers.ts";

/** What a router knows at this moment. */
export interface Knowledge {
  /** undefined until a table was loaded or received. */
  directory: DirectoryView | undefined;
  trusted: TrustedPeers;
  readonly signer: RouteSigner;
  readonly pools: StampPools;
}

export interface Asking {
  readonly request: IncomingMessage;
  readonly accepted: AcceptedRequest;
  readonly peerAddress: string;
  readonly peerTrusted: boolean;
  readonly requestId: string;
  readonly upgrade: boolean;
}

export type Found =
  | { readonly kind: "refuse"; readonly reason: RefusalReason; readonly decision: Decision | undefined }
  | {
      readonly kind: "forward";
      readonly decision: Decision;
      readonly pool: StampPool;
      readonly endpoints: readonly Endpoint[];
      /** Path and query for the stamp. */
      readonly target: string;
      readonly headers: readonly string[];
    };

/** Everything between an accepted request and its stamp that requests and tunnels have in common. */
export function findRoute(knowledge: Knowledge, asking: Asking): Found {
  const { directory, signer, pools } = knowledge;
  const { accepted } = asking;
  if (directory === undefined) return refuse("not-ready", undefined);
  const facts = factsOf(directory, asking);
  if (facts === undefined) return refuse("malformed-header", undefined);

  const decision = decide(directory, facts);
  if (decision.kind === "refuse") return refuse(decision.reason, decision);
  const route = signer.sign(decision);
  if (route === undefined) return refuse("no-route-key", decision);
  const tenantHeader = directory.routing().header?.name;
  const headers = requestHeaders(asking.request.rawHeaders, { ...asking, route, tenantHeader });
  if (headers === undefined) return refuse("loop", decision);

  const pool = pools.of(decision.stamp);
  return {
    kind: "forward",
    decision,
    pool,
    endpoints: pool.order(directory.lookupStamp(decision.stamp)?.endpoints ?? []),
    target: `${decision.path}${accepted.query}`,
    headers,
  };
}

/** undefined when the tenant header is there twice: the stamp might read the other one. */
function factsOf(directory: DirectoryView, asking: Asking): RequestFacts | undefined {
  const { request, accepted, peerTrusted } = asking;
  const name = directory.routing().header?.name.toLowerCase();
  const values: string[] = [];
  if (name !== undefined && peerTrusted) {
    for (let index = 0; index < request.rawHeaders.length; index += 2) {
      if (request.rawHeaders[index]?.toLowerCase() === name) values.push(request.rawHeaders[index + 1] ?? "");
    }
  }
  if (values.length > 1) return undefined;
  return { host: accepted.hostName, path: accepted.path, header: values[0], peerTrusted };
}

function refuse(reason: RefusalReason, decision: Decision | undefined): Found {
  return { kind: "refuse", reason, decision };
}
