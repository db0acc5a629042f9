/** First lines of every generated page. */
export function opening(title, about) {
  return `# ${title}\n\n<!-- Generated from the code by \`npm run docs\`; edit the code, not this page. -->\n\n${about}\n`;
}

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return `${[line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")}\n`;
}

/** Text for a cell: one line, and no `|` that would end the cell. */
export function cell(text) {
  return String(text ?? "")
    .replace(/\s+/g, " ")
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;");
}

/** Code in a cell; a `|` must be escaped there too. */
export function code(text) {
  const shown = String(text).replaceAll("|", "\\|");
  return shown.includes("`") ? `\`\` ${shown} \`\`` : `\`${shown}\``;
}

/** The anchor that a Markdown reader makes of a heading. */
export function anchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replace(/\s/g, "-");
}
