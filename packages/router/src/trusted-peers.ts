import { BlockList, isIP } from "node:net";

/** Whether an address is one of the peers whose tenant header and X-Forwarded-For are believed. */
export type TrustedPeers = (address: string) => boolean;

/** Reads addresses and CIDR blocks; what is neither trusts nobody. */
export function makeTrustedPeers(peers: readonly string[]): TrustedPeers {
  const list = new BlockList();
  for (const peer of peers) {
    const [address = "", prefix] = peer.split("/");
    const family = familyOf(address);
    if (family === undefined) continue;
    const bits = family === "ipv4" ? 32 : 128;
    const length = prefix === undefined ? bits : Number(prefix);
    if (Number.isInteger(length) && length >= 0 && length <= bits) list.addSubnet(address, length, family);
  }
  return (address) => {
    const plain = unmapped(address);
    const family = familyOf(plain);
    return family !== undefined && list.check(plain, family);
  };
}

/** Whether `makeTrustedPeers` understands it. */
export function isPeer(text: string): boolean {
  const [address = "", prefix, ...rest] = text.split("/");
  const family = familyOf(address);
  if (family === undefined || rest.length > 0 || address.includes("%")) return false;
  return prefix === undefined || (/^[0-9]{1,3}$/.test(prefix) && Number(prefix) <= (family === "ipv4" ? 32 : 128));
}

/** An IPv4 peer of a socket that listens on `::` is still an IPv4 peer. */
export function unmapped(address: string): string {
  return address.startsWith("::ffff:") && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

function familyOf(address: string): "ipv4" | "ipv6" | undefined {
  const version = isIP(address);
  if (version === 0) return undefined;
  return version === 4 ? "ipv4" : "ipv6";
}
