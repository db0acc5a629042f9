import { quote } from "@stampyard/domain";
import type { Env, ListenAddress } from "./config.ts";
import { isPeer } from "./trusted-peers.ts";

export interface EntranceConfig {
  /** Addresses or CIDR blocks that begin every connection with a PROXY protocol header. @default none */
  readonly proxyPeers?: readonly string[];
  readonly tls?: TlsConfig;
  /**
   * Where clients enter, as the control plane reaches it, when that is not where we listen: a load balancer, another
   * network. It verifies new stamps through it.
   */
  readonly entrance?: string;
}

export interface TlsConfig {
  readonly listen: ListenAddress;
  /** Folder of `<pattern>.crt` and `<pattern>.key`. */
  readonly certificates: string;
}

/**
 * Reads `STAMPYARD_ROUTER_PROXY_PEERS` (separated by commas), `STAMPYARD_ROUTER_ENTRANCE`, and `STAMPYARD_ROUTER_TLS_LISTEN` with
 * `STAMPYARD_ROUTER_TLS_CERTIFICATES`, which are there both or not at all.
 * @param listenAt reads a `host:port` of the environment
 */
export function readEntranceConfig(
  env: Env,
  listenAt: (key: string) => ListenAddress,
  complain: (path: string, message: string, mend: string) => void,
): EntranceConfig {
  const peers = (env["STAMPYARD_ROUTER_PROXY_PEERS"] ?? "")
    .split(",")
    .map((peer) => peer.trim())
    .filter((peer) => peer !== "");
  for (const peer of peers.filter((one) => !isPeer(one))) {
    complain("STAMPYARD_ROUTER_PROXY_PEERS", `${quote(peer)} is not an address`, "Write 10.0.0.5 or 10.0.0.0/8.");
  }
  const listen = env["STAMPYARD_ROUTER_TLS_LISTEN"] ?? "";
  const certificates = env["STAMPYARD_ROUTER_TLS_CERTIFICATES"] ?? "";
  if ((listen === "") !== (certificates === "")) {
    const missing = listen === "" ? "STAMPYARD_ROUTER_TLS_LISTEN" : "STAMPYARD_ROUTER_TLS_CERTIFICATES";
    complain(missing, "TLS needs an address and a folder of certificates", `Set ${missing}, or neither of the two.`);
  }
  const entrance = env["STAMPYARD_ROUTER_ENTRANCE"] ?? "";
  const url = entrance === "" ? undefined : URL.parse(entrance);
  if (url === null || (url !== undefined && !/^https?:$/.test(url.protocol))) {
    complain(
      "STAMPYARD_ROUTER_ENTRANCE",
      `${quote(entrance)} is not an http address`,
      "Write it like http://10.0.0.5:8080.",
    );
  }
  return {
    ...(url === undefined || url === null ? {} : { entrance: url.origin }),
    ...(peers.length === 0 ? {} : { proxyPeers: peers }),
    ...(listen === "" || certificates === ""
      ? {}
      : { tls: { listen: listenAt("STAMPYARD_ROUTER_TLS_LISTEN"), certificates } }),
  };
}
