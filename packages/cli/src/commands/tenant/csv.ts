/**
 * Rows of a CSV text (RFC 4180): commas, quotes doubled inside quotes, LF or CRLF, line breaks inside quotes.
 * @returns one list per row with the line that it begins on; empty lines are left out
 * @throws RangeError naming the line of an unfinished quote, or of text behind one
 */
export function parseCsv(text: string): readonly { readonly line: number; readonly cells: readonly string[] }[] {
  const rows: { line: number; cells: string[] }[] = [];
  let line = 1;
  let at = text.startsWith("\uFEFF") ? 1 : 0;
  while (at < text.length) {
    const row = { line, cells: [] as string[] };
    for (;;) {
      const cell = text[at] === '"' ? quoted(text, at, line) : bare(text, at);
      row.cells.push(cell.text);
      line += cell.lines;
      at = cell.end;
      if (text[at] !== ",") break;
      at += 1;
    }
    if (text[at] === "\r") at += 1;
    if (at < text.length && text[at] !== "\n") throw new RangeError(`line ${line} has text behind a quoted cell`);
    at += 1;
    line += 1;
    if (row.cells.length > 1 || row.cells[0] !== "") rows.push(row);
  }
  return rows;
}

interface Cell {
  readonly text: string;
  readonly end: number;
  /** Line breaks inside. */
  readonly lines: number;
}

function bare(text: string, from: number): Cell {
  const match = /[,\r\n]/g;
  match.lastIndex = from;
  const end = match.exec(text)?.index ?? text.length;
  return { text: text.slice(from, end), end, lines: 0 };
}

function quoted(text: string, from: number, line: number): Cell {
  for (let at = from + 1; ; at += 2) {
    at = text.indexOf('"', at);
    if (at < 0) throw new RangeError(`line ${line} begins a quote that does not end`);
    if (text[at + 1] === '"') continue;
    const inside = text.slice(from + 1, at).replaceAll('""', '"');
    return { text: inside, end: at + 1, lines: inside.split("\n").length - 1 };
  }
}
