/** Bytes of an IPv4 (RFC 6943 section 3.1.1 strict form) or IPv6 address (RFC 4291 section 2.2), or undefined. */
export function parseAddress(text: string): readonly number[] | undefined {
  return text.includes(":") ? parseV6(text) : parseV4(text);
}

function parseV4(text: string): readonly number[] | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part))) return undefined;
  const bytes = parts.map(Number);
  return bytes.every((byte) => byte <= 255) ? bytes : undefined;
}

function parseV6(text: string): readonly number[] | undefined {
  if (text.length > 45) return undefined;
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === "" ? [] : groupBytes(half)));
  const [head, tail] = groups;
  if (head === undefined || groups.includes(undefined)) return undefined;
  if (halves.length === 1) return head.length === 16 ? head : undefined;
  const rest = tail ?? [];
  // "::" stands for at least one group of zeros.
  if (head.length + rest.length > 14) return undefined;
  return [...head, ...Array.from({ length: 16 - head.length - rest.length }, () => 0), ...rest];
}

function groupBytes(text: string): number[] | undefined {
  const out: number[] = [];
  const groups = text.split(":");
  for (const [index, group] of groups.entries()) {
    const v4 = index === groups.length - 1 && group.includes(".") ? parseV4(group) : undefined;
    if (v4 !== undefined) out.push(...v4);
    else if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      out.push(value >> 8, value & 255);
    } else return undefined;
  }
  return out;
}

export type PeerFault = "malformed" | "host-bits" | "everybody";

/** What is wrong with an address or CIDR block (RFC 4632), or undefined. */
export function peerFault(text: string): PeerFault | undefined {
  const [address, prefix, ...more] = text.split("/");
  const bytes = parseAddress(address ?? "");
  if (bytes === undefined || more.length > 0) return "malformed";
  if (prefix === undefined) return undefined;
  if (!/^(?:0|[1-9][0-9]{0,2})$/.test(prefix) || Number(prefix) > bytes.length * 8) return "malformed";
  const length = Number(prefix);
  if (length === 0) return "everybody";
  const stray = bytes.some((byte, index) => {
    const kept = Math.min(8, Math.max(0, length - index * 8));
    return (byte & (255 >> kept)) !== 0;
  });
  return stray ? "host-bits" : undefined;
}
