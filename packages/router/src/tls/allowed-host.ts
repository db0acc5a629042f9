import type { DirectoryView } from "@stampyard/directory";
import { decide } from "../decide.ts";
import { withTrials } from "../decide-by-trials.ts";
import type { CertificateStore } from "./certificate-store.ts";

/**
 * Whether a connection whose handshake named `serverName` may carry a request for `hostName`. Browsers use one connection
 * for all hosts of its certificate, which is fine as long as they belong to one tenant: what was said to one tenant's name
 * must not reach another's stamp.
 * @param serverName normalised; undefined if the client named none
 * @param hostName normalised
 */
export function isAllowedHost(
  store: Pick<CertificateStore, "lookup">,
  directory: DirectoryView | undefined,
  serverName: string | undefined,
  hostName: string,
): boolean {
  if (serverName === hostName) return true;
  const pattern = store.lookup(hostName)?.pattern;
  if (pattern === undefined || pattern !== store.lookup(serverName)?.pattern) return false;
  if (serverName === undefined || directory === undefined) return true;
  return tenantOf(directory, serverName) === tenantOf(directory, hostName);
}

/** By the host alone: no path, no header. */
function tenantOf(directory: DirectoryView, host: string): string | undefined {
  const said = { host, path: "/", header: undefined, peerTrusted: false, alias: undefined, country: undefined };
  const facts = { ...said, client: "", nowMs: Number.POSITIVE_INFINITY };
  return withTrials(directory, decide(directory, facts), () => facts).tenant;
}
