import type { SeededRandom } from "@stampyard/testing";

/** Bytes and words that mean something to some parser. */
const words = [
  "\r\n",
  "\n",
  "\r",
  "\r\n\r\n",
  " ",
  "\t",
  "\x00",
  "\x0b",
  "\x7f",
  "\x80",
  "\xff",
  ":",
  ";",
  ",",
  "=",
  "0",
  "1",
  "5",
  "f",
  "\r\n ",
  "/",
  "?",
  "#",
  "%00",
  "..",
  "GET",
  "POST",
  "HEAD",
  "TRACE",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "Host: victim.localhost",
  "Content-Length: 0",
  "Content-Length: 5",
  "Content-Length: 44",
  "Transfer-Encoding: chunked",
  "transfer-encoding:\tchunked",
  "Transfer-Encoding: identity",
  "Connection: close",
  "Connection: host",
  "Connection: content-length",
  "Upgrade: websocket",
  "Upgrade: h2c",
  "Expect: 100-continue",
  "TE: trailers",
  "Trailer: X",
  "0\r\n\r\n",
  "5\r\nhello\r\n",
  "ffffffffffffffff",
  "chunked",
  "http://victim.localhost/",
  "Stampyard-Route: x",
  "X-Tenant-Id: victim",
  "Content-Length",
  "Transfer-Encoding",
  "Host",
];

/** Of ASCII letters only: Unicode's upper case of a byte may lie beyond one byte, and would be sent as another. */
const upperCase = (bytes: string) => bytes.replace(/[a-z]/g, (letter) => letter.toUpperCase());
const lowerCase = (bytes: string) => bytes.replace(/[A-Z]/g, (letter) => letter.toLowerCase());

type Mutator = (bytes: string, random: SeededRandom, other: string) => string;

const at = (bytes: string, random: SeededRandom) => random.int(0, bytes.length);
const span = (bytes: string, random: SeededRandom): readonly [number, number] => {
  const start = at(bytes, random);
  return [start, Math.min(bytes.length, start + random.int(1, 24))];
};
const lineSpan = (bytes: string, random: SeededRandom): readonly [number, number] => {
  const start = bytes.lastIndexOf("\n", at(bytes, random)) + 1;
  const end = bytes.indexOf("\n", start);
  return [start, end < 0 ? bytes.length : end + 1];
};

const mutators: readonly Mutator[] = [
  (bytes, random) => {
    const place = at(bytes, random);
    return bytes.slice(0, place) + String.fromCharCode(random.int(0, 255)) + bytes.slice(place + 1);
  },
  (bytes, random) => {
    const place = at(bytes, random);
    const flipped = (bytes.charCodeAt(place) || 0) ^ (1 << random.int(0, 7));
    return bytes.slice(0, place) + String.fromCharCode(flipped) + bytes.slice(place + 1);
  },
  (bytes, random) => {
    const place = at(bytes, random);
    return bytes.slice(0, place) + random.pick(words) + bytes.slice(place);
  },
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    return bytes.slice(0, start) + bytes.slice(end);
  },
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    return bytes.slice(0, end) + bytes.slice(start);
  },
  (bytes, random) => {
    const [start, end] = lineSpan(bytes, random);
    return bytes.slice(0, end) + bytes.slice(start);
  },
  (bytes, random) => {
    const [start, end] = lineSpan(bytes, random);
    return bytes.slice(0, start) + bytes.slice(end);
  },
  (bytes, random) => {
    const [start] = lineSpan(bytes, random);
    return `${bytes.slice(0, start)}${random.pick(words)}\r\n${bytes.slice(start)}`;
  },
  (bytes, random, other) => bytes.slice(0, at(bytes, random)) + other.slice(at(other, random)),
  (bytes, _, other) => bytes + other,
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    const part = bytes.slice(start, end);
    return bytes.slice(0, start) + (random.chance(0.5) ? upperCase(part) : lowerCase(part)) + bytes.slice(end);
  },
  (bytes, random) => {
    const digits = [...bytes.matchAll(/[0-9]+/g)];
    if (digits.length === 0) return bytes;
    const found = random.pick(digits);
    const number = String(Math.max(0, Number(found[0]) + random.int(-2, 2)));
    return bytes.slice(0, found.index) + number + bytes.slice(found.index + found[0].length);
  },
];

/** One to four changes to a payload; the other payload gives parts. Pure but for the random source. */
export function mutate(bytes: string, other: string, random: SeededRandom): string {
  let mutated = bytes;
  for (let count = random.int(1, 4); count > 0; count--) mutated = random.pick(mutators)(mutated, random, other);
  return mutated.slice(0, 60_000);
}
