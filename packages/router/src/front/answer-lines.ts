/** Names and values in turn as lines; the length is written by who writes the body. */
export function answerLines(headers: readonly string[]): string {
  let lines = "";
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== "content-length") lines += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  return lines;
}
