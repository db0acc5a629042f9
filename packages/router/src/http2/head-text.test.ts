import { expect, test } from "vitest";
import { headText } from "./head-text.ts";

type Fields = readonly (readonly [string, string])[];
const base: Fields = [
  [":method", "GET"],
  [":scheme", "https"],
  [":authority", "acme.example.com"],
  [":path", "/a?b"],
];
const read = (fields: Fields, ends = true) => headText(fields.flat(), ends);
const withPseudo = (name: string, value: string | undefined): Fields =>
  value === undefined
    ? base.filter(([key]) => key !== name)
    : base.map(([key, old]) => [key, key === name ? value : old]);
const reasonOf = (fields: Fields, ends = true) => {
  const said = read(fields, ends);
  return said.kind === "refused" ? said.reason : said.text;
};

test("headText() says the same as HTTP/1.1", () => {
  const fields: Fields = [...base, ["cookie", "a=1"], ["x-y", "z"], ["cookie", "b=2"], ["te", "trailers"]];
  expect(reasonOf(fields)).toBe("GET /a?b HTTP/1.1\r\nhost: acme.example.com\r\nx-y: z\r\ncookie: a=1; b=2\r\n\r\n");
  expect(reasonOf([...withPseudo(":method", "POST"), ["content-length", "3"]], false)).toMatch(
    /^content-length: 3\r\n\r\n$/m,
  );
  expect(reasonOf(withPseudo(":method", "POST"), false)).toContain("transfer-encoding: chunked\r\n\r\n");
  expect(reasonOf(withPseudo(":authority", "ACME.example.com."))).toContain("host: acme.example.com\r\n");
  expect(reasonOf([...base, ["host", "Acme.Example.com"]])).toContain("host: acme.example.com\r\n");
});

test("headText() refuses an authority that is missing, doubtful or not the Host", () => {
  for (const authority of [undefined, "", "a,b", "user@acme.example.com", "a b", "acme.example.com:0", "x/y"]) {
    expect(reasonOf(withPseudo(":authority", authority)), `${authority}`).toBe("bad-host");
  }
  for (const host of ["globex.example.com", "acme.example.com:443", ""]) {
    expect(reasonOf([...base, ["host", host]]), host).toBe("bad-host");
  }
  expect(reasonOf([...base, ["host", "acme.example.com"], ["host", "acme.example.com"]])).toBe("bad-host");
  expect(reasonOf([...withPseudo(":authority", undefined), ["host", "acme.example.com"]])).toBe("bad-host");
});

test("headText() lets nothing into HTTP/1.1 that would be read as more than one field or request", () => {
  for (const path of ["", "*", "a", "https://evil.example/", "/ HTTP/1.1\r\nx: y", "/a b", "/\0", "/é", undefined]) {
    expect(reasonOf(withPseudo(":path", path)), `${path}`).toBe("bad-target");
  }
  for (const method of ["", "get", "GET /evil", "GET\r\n", "CONNECT", undefined]) {
    expect(reasonOf(withPseudo(":method", method)), `${method}`).toBe("bad-method");
  }
  for (const value of ["a\r\nstampyard-route: x", "a\n", "a\0", "a\r", "\u{100}", "a\x7f"]) {
    expect(reasonOf([...base, ["x-y", value]]), JSON.stringify(value)).toBe("bad-header");
  }
  for (const name of ["X-Y", "x y", "x:y", "", "x\r\n", "connection", "transfer-encoding", "upgrade", "keep-alive"]) {
    expect(reasonOf([...base, [name, "chunked"]]), JSON.stringify(name)).toBe("bad-header");
  }
  expect(reasonOf([...base, ["te", "gzip"]])).toBe("bad-header");
  expect(reasonOf([...base, [":path", "/other"]])).toBe("bad-syntax");
  expect(reasonOf([...base, [":protocol", "websocket"]])).toBe("bad-syntax");
  expect(reasonOf([...base.slice(0, 3), ["x", "y"], ...base.slice(3)])).toBe("bad-syntax");
  expect(reasonOf(withPseudo(":scheme", "http"))).toBe("bad-target");
});
