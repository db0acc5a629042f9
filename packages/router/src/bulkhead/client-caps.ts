export interface ClientLimits {
  /** Connections of all clients. */
  readonly total: number;
  /** Connections of one client. */
  readonly perClient: number;
}

/** Counts connections by client address, so that no client takes what the others need (I13). */
export interface ClientCaps {
  /** True = counted; then `leave` is called once when the connection ends. */
  enter(address: string): boolean;
  leave(address: string): void;
  /** Connections now. */
  readonly size: () => number;
}

/** While less than this share is free, only clients with few connections get more. */
const reserveShare = 0.1;
const fewConnections = 8;

/**
 * @param isExempt addresses that stand for many clients, such as a load balancer that is trusted; they count in the total
 */
export function createClientCaps(limits: ClientLimits, isExempt: (address: string) => boolean): ClientCaps {
  const { total, perClient } = limits;
  const counts = new Map<string, number>();
  let size = 0;
  return {
    enter(address) {
      const client = clientOf(address);
      const held = counts.get(client) ?? 0;
      if (size >= total) return false;
      if (!isExempt(address)) {
        if (held >= perClient) return false;
        // A total alone would let a few clients with many connections each shut out everybody else.
        if (held >= fewConnections && size >= total * (1 - reserveShare)) return false;
      }
      counts.set(client, held + 1);
      size += 1;
      return true;
    },
    leave(address) {
      const client = clientOf(address);
      const held = counts.get(client) ?? 0;
      if (held === 0) return;
      size -= 1;
      if (held === 1) counts.delete(client);
      else counts.set(client, held - 1);
    },
    size: () => size,
  };
}

/** An IPv4 address, or the /64 of an IPv6 address: one subscriber has 2^64 of the latter. */
export function clientOf(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = (address.split("%")[0] ?? "").toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined
      ? left
      : [...left, ...Array.from({ length: Math.max(0, 8 - left.length - right.length) }, () => "0"), ...right];
  return groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":");
}
