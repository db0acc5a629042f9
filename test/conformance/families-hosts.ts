import {
  accept,
  canonical,
  draft,
  either,
  everyByte,
  type Family,
  type Payload,
  reject,
  unknownTenant,
  type Verdict,
  write,
} from "./verdict.ts";

const badHost = reject(400, "bad-host", "bad-syntax", "bad-header");

/** Acceptance step 4: exactly one Host, in one grammar. */
export const hosts: Family = (host) => {
  const payloads: Payload[] = [];
  const lines = (id: string, list: readonly string[], verdict: Verdict, version = "HTTP/1.1") =>
    payloads.push({ id: `host: ${id}`, bytes: write(draft(host, { lines: list, version })), verdict });
  const value = (text: string, verdict: Verdict) => lines(JSON.stringify(text), [`Host: ${text}`], verdict);
  const served = (as = host) => accept(canonical(as));

  value(host.toUpperCase(), served());
  value(`${host}.`, served());
  value(`${host}..`, badHost);
  value(`.${host}`, badHost);
  value(host.replace(".", ".."), badHost);
  value(`${host}:80`, served(`${host}:80`));
  value(`${host}.:80`, served(`${host}:80`));
  value(`${host}:65535`, served(`${host}:65535`));
  value(`${host}:0`, either(served(`${host}:0`), badHost));
  value(`${host}:0080`, either(served(`${host}:80`), badHost));
  for (const port of [
    "65536",
    "99999",
    "100000",
    "8".repeat(30),
    "-1",
    "+80",
    "80evil",
    "evil",
    "8 0",
    "80:80",
    "0x50",
  ]) {
    value(`${host}:${port}`, badHost);
  }
  for (const port of ["", " 80", "80.", "80/", "80#", "80?", "80@evil", "80,evil", "\xb2"])
    value(`${host}:${port}`, badHost);
  for (const odd of ["", " ", ",", ":", ":80", "/", "@", "*", "?", "#", "%", "..", ".", "a b", "a\tb"])
    value(odd, badHost);
  for (const tail of [
    ",victim.localhost",
    ", victim.localhost",
    " victim.localhost",
    "/victim",
    "\\victim",
    "?x",
    "#x",
  ]) {
    value(host + tail, badHost);
  }
  for (const tail of [
    "@victim.localhost",
    "%00",
    "%2evictim",
    "%",
    ";victim",
    "&victim",
    "=x",
    '"',
    "'",
    "<",
    "|x",
    "{",
    "}",
    "^",
    "`",
  ]) {
    value(host + tail, badHost);
  }
  for (const head of [
    "victim.localhost@",
    "victim.localhost,",
    "victim.localhost ",
    "http://",
    "//",
    "/",
    "user:pass@",
    "%00",
  ]) {
    value(head + host, badHost);
  }
  for (const literal of ["[::1]", "[::1]:80", "127.0.0.1", "127.0.0.1:80", "[2001:db8::1]"]) {
    value(literal, either(unknownTenant, badHost));
  }
  for (const literal of [
    "[::1",
    "::1",
    "[]",
    "[::1]x",
    "[::1]:x",
    "[g::1]",
    "[::1%25eth0]",
    "[127.0.0.1",
    "[::1]]",
    "[[::1]]",
  ]) {
    value(literal, badHost);
  }
  for (const name of [
    "nobody.localhost",
    "localhost",
    "a.b.localhost",
    "example.com",
    "x",
    "victim.localhost.evil.example",
  ]) {
    value(name, unknownTenant);
  }
  value("a".repeat(64), either(unknownTenant, badHost));
  value(`${"a".repeat(60)}.`.repeat(5), either(unknownTenant, badHost));
  value("a".repeat(300), badHost);
  for (const gap of ["", "  ", "\t", " \t "]) {
    lines(`behind ${JSON.stringify(gap)}`, [`Host:${gap}${host}`], served());
    lines(`before ${JSON.stringify(gap)}`, [`Host: ${host}${gap}`], served());
  }
  for (const name of ["host", "HOST", "hOsT"]) lines(`called ${name}`, [`${name}: ${host}`], served());
  for (const name of ["Host ", "Host\t", " Host", "Ho st", "Host\x00", "Ho\x00st"])
    lines(`called ${JSON.stringify(name)}`, [`${name}: ${host}`], badHost);

  lines("none", [], badHost);
  lines("none but X-Host", [`X-Host: ${host}`], badHost);
  lines("none of 1.0", [], badHost, "HTTP/1.0");
  lines("empty of 1.0", ["Host:"], badHost, "HTTP/1.0");
  for (const second of [host, host.toUpperCase(), "victim.localhost", "", " ", `${host}:80`, "x,y"]) {
    for (const name of ["Host", "host", "HOST"]) {
      lines(`second ${name} ${JSON.stringify(second)}`, [`Host: ${host}`, `${name}: ${second}`], badHost);
      lines(`first ${name} ${JSON.stringify(second)}`, [`${name}: ${second}`, "A: b", `Host: ${host}`], badHost);
    }
  }
  lines("three", [`Host: ${host}`, `Host: ${host}`, `Host: ${host}`], badHost);
  for (const byte of everyByte) {
    if (byte === "\r" || byte === "\n") continue;
    const at = host.length - 3;
    for (const [place, text] of [
      ["start", byte + host],
      ["middle", host.slice(0, at) + byte + host.slice(at)],
      ["end", host + byte],
    ] as const) {
      value(text, hostVerdict(host, byte, place));
    }
  }
  return payloads;
};

function hostVerdict(host: string, byte: string, place: "start" | "middle" | "end"): Verdict {
  const outside = place !== "middle" && (byte === " " || byte === "\t");
  if (outside) return accept(canonical(host));
  if (/[0-9A-Za-z]/.test(byte)) return unknownTenant;
  // Letters of host names beyond the tenant grammar: another name or no name, but never ours.
  if (byte === "_" || byte === "-") return either(unknownTenant, badHost);
  if (byte === "." && place === "end") return accept(canonical(host));
  if (byte === "." && place === "middle") return unknownTenant;
  return badHost;
}
