import type { Note } from "../notes.ts";
import type { Identity } from "./call.ts";

/** Whether an Accept header (RFC 9110 section 12.5.1) likes HTML better than JSON. A tie is JSON. */
export function prefersHtml(accept: string | undefined): boolean {
  const weightOf = (type: string) => {
    let weight = 0;
    for (const range of (accept ?? "").split(",")) {
      const [name = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
      if (name !== type) continue;
      const q = parameters.find((parameter) => parameter.startsWith("q="))?.slice(2) ?? "1";
      weight = Math.max(weight, /^(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)$/.test(q) ? Number(q) : 0);
    }
    return weight;
  };
  return weightOf("text/html") > weightOf("application/json");
}

export interface Overview extends Identity {
  readonly tenant: string;
  readonly epoch: number;
  readonly notes: number;
  readonly served_by: number;
}

/** One readable page without scripts: who served it, and the newest notes. */
export function overviewPage(facts: Overview, latest: readonly Note[]): string {
  const rows: readonly (readonly [string, string | number])[] = [
    ["Stamp", facts.stamp],
    ["Region", facts.region],
    ["Release", facts.release],
    ["Route epoch", facts.epoch],
    ["Process", facts.served_by],
    ["Notes", facts.notes],
  ];
  const table = rows.map(
    ([name, value]) => `<tr><th scope="row">${name}</th><td>${escapeHtml(String(value))}</td></tr>`,
  );
  const items = latest.map(
    (note) => `<li>${escapeHtml(note.title)} <small>${escapeHtml(note.created_at)}</small></li>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Notes of ${escapeHtml(facts.tenant)}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; color-scheme: light dark; }
th { text-align: left; padding-right: 2rem; font-weight: normal; opacity: 0.7; }
small { opacity: 0.7; }
</style>
</head>
<body>
<h1>Notes of ${escapeHtml(facts.tenant)}</h1>
<table>
${table.join("\n")}
</table>
<h2>Newest notes</h2>
${items.length === 0 ? "<p>No notes yet.</p>" : `<ul>\n${items.join("\n")}\n</ul>`}
</body>
</html>
`;
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
}
