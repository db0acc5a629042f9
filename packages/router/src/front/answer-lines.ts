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
      return `content-length: ${body.length}\r\n`;
    case "none":
      return length >= 0 ? `content-length: ${length}\r\n` : "";
    case "open":
      return chunked ? "transfer-encoding: chunked\r\n" : "";
  }
}
