import type { OutgoingHttpHeaders } from "node:http2";

/** Fields of an answer for `node:http2`, from canonical lines `name: value CR LF`. Fields that are there twice stay apart. */
export function answerFields(status: number, lines: string, length: number): OutgoingHttpHeaders {
  const fields = Object.create(null) as Record<string, string | number | string[]>;
  fields[":status"] = status;
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf("\r\n", at);
    const colon = lines.indexOf(":", at);
    if (end < 0 || colon < 0 || colon > end) break;
    const name = lines.slice(at, colon).toLowerCase();
    const value = lines.slice(colon + 1, end).trimStart();
    const before = fields[name];
    if (before === undefined) fields[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else fields[name] = [String(before), value];
    at = end + 2;
  }
  if (length >= 0) fields["content-length"] = length;
  return fields;
}
