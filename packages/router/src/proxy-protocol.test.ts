import { expect, test } from "vitest";
import { crc32c } from "./crc32c.ts";
import { maxProxyHeader, type ProxyHeader, readProxyHeader } from "./proxy-protocol.ts";

const line = (text: string): ProxyHeader => readProxyHeader(Buffer.from(text, "latin1"));
const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function binary(command: number, family: number, rest: Buffer): Buffer {
  const head = Buffer.from([command, family, rest.length >> 8, rest.length & 255]);
  return Buffer.concat([signature, head, rest]);
}

const v4 = Buffer.from([192, 0, 2, 1, 192, 0, 2, 2, 0x13, 0x88, 0x01, 0xbb]);
const v6 = Buffer.concat([
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from("20010db8000000000000000000000002", "hex"),
  Buffer.from([0x13, 0x88, 0x01, 0xbb]),
]);

function extension(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, value.length >> 8, value.length & 255]), value]);
}

test("crc32c() gives the check value of the polynomial", () => {
  expect(crc32c(Buffer.from("123456789")).toString(16)).toBe("e3069283");
});

test("readProxyHeader() reads lines of version 1", () => {
  const text = "PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n";
  const client = { address: "192.0.2.1", port: 5000 };
  expect(line(`${text}GET /`)).toEqual({ kind: "client", client, length: text.length });
  expect(line("PROXY TCP6 2001:DB8:0::1 ::1 0 65535\r\n")).toMatchObject({
    client: { address: "2001:db8::1", port: 0 },
  });
  expect(line("PROXY TCP6 ::ffff:10.0.0.1 ::1 1 1\r\n")).toMatchObject({ client: { address: "10.0.0.1" } });
  expect(line("PROXY UNKNOWN\r\n")).toEqual({ kind: "local", length: 15 });
  expect(line("PROXY UNKNOWN ffff::1 whatever 1\r\nX")).toEqual({ kind: "local", length: 34 });
});

test("readProxyHeader() waits for the rest of a header, and only for one", () => {
  const whole = [
    Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n"),
    binary(0x21, 0x11, v4),
    binary(0x21, 0x21, Buffer.concat([v6, extension(0x04, Buffer.alloc(40))])),
  ];
  for (const bytes of whole) {
    for (let cut = 0; cut < bytes.length; cut++) {
      expect(readProxyHeader(bytes.subarray(0, cut)).kind, `${cut}`).toBe("incomplete");
    }
    expect(readProxyHeader(Buffer.concat([bytes, Buffer.from("more")]))).toMatchObject({ length: bytes.length });
  }
});

test("readProxyHeader() refuses every other line", () => {
  const bad = [
    "GET / HTTP/1.1\r\n",
    "proxy TCP4 1.1.1.1 2.2.2.2 1 1\r\n",
    "PROXY  TCP4 1.1.1.1 2.2.2.2 1 1\r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 1 1\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 1 1 1\r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 1 1 \r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 01 1\r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 65536 1\r\n",
    "PROXY TCP4 1.1.1.1 2.2.2.2 +1 1\r\n",
    "PROXY TCP4 1.1.1.01 2.2.2.2 1 1\r\n",
    "PROXY TCP4 1.1.1 2.2.2.2 1 1\r\n",
    "PROXY TCP4 ::1 ::1 1 1\r\n",
    "PROXY TCP6 1.1.1.1 2.2.2.2 1 1\r\n",
    "PROXY TCP6 fe80::1%lo ::1 1 1\r\n",
    "PROXY TCP6 [::1] ::1 1 1\r\n",
    "PROXY UDP4 1.1.1.1 2.2.2.2 1 1\r\n",
    "PROXY UNKNOWNX\r\n",
    "PROXY TCP4 1.1.1.1\t2.2.2.2 1 1\r\n",
    `PROXY UNKNOWN ${"x".repeat(100)}\r\n`,
    `PROXY TCP4 ${"1".repeat(120)}`,
  ];
  for (const text of bad) expect(line(text).kind, JSON.stringify(text)).toBe("invalid");
});

test("readProxyHeader() reads headers of version 2", () => {
  const client = { address: "192.0.2.1", port: 5000 };
  expect(readProxyHeader(binary(0x21, 0x11, v4))).toEqual({ kind: "client", client, length: 28 });
  expect(readProxyHeader(binary(0x21, 0x21, v6))).toMatchObject({ client: { address: "2001:db8::1", port: 5000 } });
  const mapped = Buffer.from(v6);
  Buffer.from("00000000000000000000ffff0a000001", "hex").copy(mapped);
  expect(readProxyHeader(binary(0x21, 0x21, mapped))).toMatchObject({ client: { address: "10.0.0.1" } });
  expect(readProxyHeader(binary(0x20, 0x00, Buffer.alloc(0)))).toEqual({ kind: "local", length: 16 });
  expect(readProxyHeader(binary(0x20, 0x31, Buffer.alloc(216, 1)))).toEqual({ kind: "local", length: 232 });
  expect(readProxyHeader(binary(0x21, 0x00, Buffer.alloc(0)))).toEqual({ kind: "local", length: 16 });
});

test("readProxyHeader() checks extensions and the checksum", () => {
  const rest = Buffer.concat([v4, extension(0x02, Buffer.from("acme.example.com")), extension(0x03, Buffer.alloc(4))]);
  const bytes = binary(0x21, 0x11, rest);
  expect(readProxyHeader(bytes)).toMatchObject({ kind: "invalid", problem: "Its checksum is wrong" });
  bytes.writeUInt32BE(crc32c(bytes), bytes.length - 4);
  expect(readProxyHeader(bytes).kind).toBe("client");
  for (let at = 16; at < 28; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    expect(readProxyHeader(damaged).kind).toBe("invalid");
  }
});

test("readProxyHeader() refuses every other header of version 2", () => {
  const bad: Record<string, Buffer> = {
    version: binary(0x11, 0x11, v4),
    command: binary(0x22, 0x11, v4),
    udp: binary(0x21, 0x12, v4),
    unix: binary(0x21, 0x31, Buffer.alloc(216)),
    short: binary(0x21, 0x11, v4.subarray(1)),
    "short IPv6": binary(0x21, 0x21, v4),
    "half an extension": binary(0x21, 0x11, Buffer.concat([v4, Buffer.from([4, 0])])),
    "long extension": binary(0x21, 0x11, Buffer.concat([v4, Buffer.from([4, 0, 9, 1])])),
    long: binary(0x21, 0x11, Buffer.concat([v4, Buffer.alloc(maxProxyHeader)])),
    signature: Buffer.from("0d0a0d0a000d0a515549540b", "hex"),
  };
  for (const [name, bytes] of Object.entries(bad)) expect(readProxyHeader(bytes).kind, name).toBe("invalid");
});

test("readProxyHeader() survives whatever comes", () => {
  const seed = 20_261_123;
  let state = seed;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const starts = [
    binary(0x21, 0x11, v4),
    binary(0x21, 0x21, v6),
    Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 5000 443\r\n"),
  ];
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(starts[round % starts.length] ?? "");
    for (let change = 0; change < 3; change++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
    const header = readProxyHeader(bytes);
    if (header.kind === "client")
      expect(header.client.address, `seed ${seed}, round ${round}`).toMatch(/^[0-9a-f.:]+$/);
    if ("length" in header) expect(header.length).toBeLessThanOrEqual(bytes.length);
  }
});
