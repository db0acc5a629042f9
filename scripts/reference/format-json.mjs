const width = 120;

/** JSON as the formatter of this repository writes it: lists of plain values on one line where they fit. */
export function formatJson(value) {
  return `${write(value, "", 0)}\n`;
}

function write(value, indent, used) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    const plain = value.every((item) => item === null || typeof item !== "object");
    const line = `[${value.map((item) => JSON.stringify(item)).join(", ")}]`;
    // One more column for a comma that may follow.
    if (plain && used + line.length + 1 <= width) return line;
    return `[\n${value.map((item) => inner + write(item, inner, inner.length)).join(",\n")}\n${indent}]`;
  }
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  if (entries.length === 0) return "{}";
  const lines = entries.map(([key, item]) => {
    const start = `${inner}${JSON.stringify(key)}: `;
    return start + write(item, inner, start.length);
  });
  return `{\n${lines.join(",\n")}\n${indent}}`;
}
