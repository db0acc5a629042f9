import type { AnswerBody } from "./exchange.ts";

/** Names and values in turn as lines; the length is written by who writes the body. */
export function answerLines(headers: readonly string[]): string {
  let lines = "";
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== "content-length") lines += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  return lines;
}

/** What says where an answer's body ends. @param chunked how a body ends that has no length yet */
export function framingLines(body: AnswerBody, length: number, chunked: boolean): string {
  switch (body.kind) {
    case "length":
      return lengthLine(body.length);
    case "none":
      return length >= 0 ? lengthLine(length) : "";
    case "open":
      return chunked ? "transfer-encoding: chunked\r\n" : "";
  }
}

/** Of lengths that were asked for before: putting one together costs more than finding it. */
const lengthLines: (string | undefined)[] = Array.from({ length: 4_096 });

function lengthLine(length: number): string {
  const kept = length < lengthLines.length ? lengthLines[length] : undefined;
  if (kept !== undefined) return kept;
  const line = `content-length: ${length}\r\n`;
  if (length < lengthLines.length) lengthLines[length] = line;
  return line;
}
