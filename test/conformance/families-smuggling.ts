import {
  accept,
  canonical,
  draft,
  either,
  everyByte,
  type Family,
  field,
  hex,
  isTchar,
  type Payload,
  reject,
  type Verdict,
  write,
} from "./verdict.ts";

const refused = reject(400, "bad-framing", "bad-syntax", "bad-header", "bad-host");

/** A body that is one message by its length and two by its chunks. */
function split(host: string): string {
  return `0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: victim.${host.split(".")[1]}\r\n\r\n`;
}

/**
 * CL.TE: a valid length beside a `Transfer-Encoding` that one byte bends. Either the name or value is still one that some
 * parser could take for the coding, and is refused; or the byte makes another field of it, and the length counts.
 */
export const bentEncodings: Family = (host) => {
  const body = split(host);
  const lengthLine = `Content-Length: ${body.length}`;
  const payloads: Payload[] = [];
  const one = (id: string, line: string, verdict: Verdict) => {
    const first = payloads.length % 2 === 0;
    const lines = first ? [`Host: ${host}`, lengthLine, line] : [`Host: ${host}`, line, lengthLine];
    payloads.push({ id: `smuggling: ${id}`, bytes: write(draft(host, { method: "POST", lines, body })), verdict });
  };
  const asField = (name: string, value: string) => {
    const served = accept(canonical(host, { method: "POST", body, fields: [field(name, value)] }));
    // Readers that fold names would see the coding again: whoever drops or refuses it does no harm.
    const folds = name.toLowerCase().replace(/[^a-z]+/g, "-") === "transfer-encoding";
    return folds ? either(served, accept(canonical(host, { method: "POST", body })), refused) : served;
  };
  for (const byte of everyByte) {
    if (byte === "\r" || byte === "\n") continue;
    for (const [place, name] of [
      ["before the name", `${byte}Transfer-Encoding`],
      ["in the name", `Transfer${byte}Encoding`],
      ["within a word", `Trans${byte}fer-Encoding`],
      ["behind the name", `Transfer-Encoding${byte}`],
    ] as const) {
      let verdict: Verdict = isTchar(byte) ? asField(name, "chunked") : refused;
      if (name.toLowerCase() === "transfer-encoding") verdict = refused;
      if (byte === ":" && place !== "before the name") {
        const at = name.indexOf(":");
        const rest = `${name.slice(at + 1)}: chunked`;
        verdict = place === "behind the name" ? refused : asField(name.slice(0, at), rest);
      }
      one(`${hex(byte)} ${place}`, `${name}: chunked`, verdict);
    }
    one(`${hex(byte)} before the coding`, `Transfer-Encoding:${byte}chunked`, refused);
    one(`${hex(byte)} in the coding`, `Transfer-Encoding: chun${byte}ked`, refused);
    one(`${hex(byte)} behind the coding`, `Transfer-Encoding: chunked${byte}`, refused);
  }
  for (const end of ["\n", "\r", "\r\r", "\r\n ", "\r\n\t", "\n ", "\r ", "\r\n\x0b", "\x00\r\n"]) {
    one(`${JSON.stringify(end)} before the name`, `A: b${end}Transfer-Encoding: chunked`, refused);
    one(`${JSON.stringify(end)} behind the colon`, `Transfer-Encoding:${end}chunked`, refused);
    one(`${JSON.stringify(end)} behind the coding`, `Transfer-Encoding: chunked${end}, identity`, refused);
    one(`${JSON.stringify(end)} in the name`, `Transfer-${end}Encoding: chunked`, refused);
  }
  return payloads;
};

/** TE.CL and CL.CL: one byte bends a length, alone, beside chunks, or beside another length. */
export const bentLengths: Family = (host) => {
  const payloads: Payload[] = [];
  const body = "hello";
  const one = (id: string, lines: readonly string[], verdict: Verdict, content = body) => {
    const bytes = write(draft(host, { method: "POST", lines: [`Host: ${host}`, ...lines], body: content }));
    payloads.push({ id: `smuggling: ${id}`, bytes, verdict });
  };
  for (const byte of everyByte) {
    if (byte === "\r" || byte === "\n") continue;
    const blank = byte === " " || byte === "\t";
    const served = accept(canonical(host, { method: "POST", body }));
    const zero = byte === "0";
    if (!/[1-9]/.test(byte)) {
      one(`${hex(byte)} before the length`, [`Content-Length: ${byte}5`], blank || zero ? served : refused);
      if (!zero) one(`${hex(byte)} behind the length`, [`Content-Length: 5${byte}`], blank ? served : refused);
    }
    if (!isTchar(byte))
      one(
        `${hex(byte)} in the length's name`,
        [`Content${byte}Length: 5`, "Content-Length: 5"],
        byte === ":"
          ? accept(canonical(host, { method: "POST", body, fields: [field("content", "Length: 5")] }))
          : refused,
      );
    if (!isTchar(byte)) one(`${hex(byte)} behind the length's name`, [`Content-Length${byte}: 5`], refused);
  }
  const chunks = "5\r\nhello\r\n0\r\n\r\n";
  for (const length of ["3", "4", "5", "15", "16", "0"]) {
    for (const bend of ["", " ", "\t", "0"]) {
      one(
        `length ${bend}${length} beside chunks`,
        ["Transfer-Encoding: chunked", `Content-Length: ${bend}${length}`],
        refused,
        chunks,
      );
      one(
        `length ${bend}${length} beside gzip`,
        ["Transfer-Encoding: gzip", `Content-Length: ${bend}${length}`],
        refused,
        chunks,
      );
    }
  }
  const inner = `GET /smuggled HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  // CL.0 and 0.CL: a body on a method of which some readers believe that it has none.
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
    const lines = [`Host: ${host}`, `Content-Length: ${inner.length}`];
    const bytes = write(draft(host, { method, lines, body: inner }));
    payloads.push({
      id: `smuggling: ${method} with a request as its body`,
      bytes,
      verdict: accept(canonical(host, { method, body: inner })),
    });
    const chunkedLines = [`Host: ${host}`, "Transfer-Encoding: chunked"];
    const content = `${inner.length.toString(16)};x=y\r\n${inner}\r\n0\r\n\r\n`;
    const inChunks = write(draft(host, { method, lines: chunkedLines, body: content }));
    payloads.push({
      id: `smuggling: ${method} with a request in a chunk`,
      bytes: inChunks,
      verdict: accept(canonical(host, { method, body: inner })),
    });
    const without = write(draft(host, { method, lines: [`Host: ${host}`, "Content-Length: 0"], body: "" }));
    payloads.push({
      id: `smuggling: ${method} of length 0, then a request`,
      bytes: without + inner,
      verdict: {
        kind: "accept",
        requests: [canonical(host, { method }), canonical(host, { target: "/smuggled" })],
        connection: "kept",
      },
    });
  }
  return payloads;
};
