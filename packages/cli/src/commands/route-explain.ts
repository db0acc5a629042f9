import { command } from "../define.ts";
import { CommandFailure } from "../failure.ts";
import { fields, table } from "../output/table.ts";
import { askRouter } from "../router-admin.ts";

interface Options {
  readonly header?: readonly string[];
  readonly method: string;
  readonly admin?: string;
  readonly peer?: string;
}

export const routeExplain = command<Options>({
  usage: "explain <url>",
  summary: "Ask the router why a request would go where it goes",
  about: "The router decides as it would for the request, and sends nothing.",
  options: (c) =>
    c
      .option("-H, --header <header...>", "a header of the request, e.g. 'Host: acme.localhost'")
      .option("-X, --method <method>", "its method", "GET")
      .option("--peer <address>", "where it would come from (trusted peers may name a tenant in a header)")
      .option("--admin <url>", "the router's admin address; else read from the state directory"),
  examples: [
    ["route explain http://acme.localhost:8080/", "which rule names the tenant, and which stamp serves it"],
    ["route explain http://127.0.0.1:8080/ -H 'Host: acme.localhost'", "the same by a header"],
  ],
  run: async (run) => {
    const target = parseUrl(run.args[0] ?? "");
    const headers = parseHeaders(run.options.header ?? []);
    const query: [string, string][] = [
      ["method", run.options.method.toUpperCase()],
      ["url", target.href],
    ];
    if (run.options.peer !== undefined) query.push(["peer", run.options.peer]);
    if (!headers.some(([name]) => name.toLowerCase() === "host")) headers.unshift(["host", target.host]);
    for (const [name, value] of headers) query.push(["header", `${name}: ${value}`]);
    const answer = await askRouter(run.io, run.options, "/explain", query);
    run.emit(answer, () => explanationText(answer));
  },
});

function parseUrl(text: string): URL {
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (url.protocol === "http:" || url.protocol === "https:") return url;
  }
  throw new CommandFailure("INVALID_REQUEST", `${JSON.stringify(text)} is no URL`, {
    mend: "Give one such as http://acme.localhost:8080/notes.",
  });
}

function parseHeaders(lines: readonly string[]): [string, string][] {
  return lines.map((line) => {
    const at = line.indexOf(":");
    if (at > 0) return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    throw new CommandFailure("INVALID_REQUEST", `${JSON.stringify(line)} is no header`, {
      mend: "Write 'Name: value'.",
    });
  });
}

/** The router's answer; a newer router may say more, which JSON shows. */
function explanationText(answer: Record<string, unknown>): string {
  const text = (key: string) => (answer[key] === undefined ? undefined : String(answer[key]));
  const rules = Array.isArray(answer["rules"]) ? (answer["rules"] as Record<string, unknown>[]) : [];
  const rows = rules.map((rule, index) => {
    const named = rule["tenant"] === undefined ? "" : String(rule["tenant"]);
    return [index + 1, String(rule["rule"]), String(rule["outcome"]), named];
  });
  const endpoints = Array.isArray(answer["endpoints"]) ? answer["endpoints"].join(", ") : undefined;
  const summary = fields([
    ["Host", text("host")],
    ["Path", text("path")],
    ["Decided by", text("rule")],
    ["Rules", trialText(answer["trial"])],
    ["Tenant", text("tenant")],
    ["Stamp", text("stamp")],
    ["Home", text("home")],
    ["Region", text("region")],
    ["Epoch", text("epoch")],
    ["Endpoints", endpoints],
    ["Hold", holdText(answer["hold"])],
    ["Limits", answer["limits"] === undefined ? undefined : JSON.stringify(answer["limits"])],
    ["On the way", text("inFlight")],
    ["Outcome", outcomeText(answer)],
    ["Directory", text("directoryVersion") === undefined ? undefined : `version ${text("directoryVersion")}`],
  ]);
  return rows.length === 0 ? summary : `${summary}\n${table(["#", "rule", "outcome", "tenant"], rows)}`;
}

function outcomeText(answer: Record<string, unknown>): string {
  if (answer["outcome"] === "forward") {
    return `forward to ${String(answer["stamp"])} as ${String(answer["forwardedPath"] ?? "/")}`;
  }
  if (answer["outcome"] === "wait") return "wait for the end of the tenant's move";
  const to = answer["location"] === undefined ? "" : ` to ${String(answer["location"])}`;
  return `refuse with ${String(answer["status"])}${to}: ${String(answer["reason"])}`;
}

/** Whose rules decided, where not the fleet's did. */
function trialText(trial: unknown): string | undefined {
  if (typeof trial !== "object" || trial === null) return undefined;
  const { stamps, lostBy } = trial as Record<string, unknown>;
  const lost = lostBy === undefined ? "" : `; by the fleet's rules it goes to ${String(lostBy)}`;
  return `on trial at ${Array.isArray(stamps) ? stamps.join(", ") : "some stamps"}${lost}`;
}

function holdText(hold: unknown): string | undefined {
  if (typeof hold !== "object" || hold === null) return undefined;
  const { moveId, leftMs, waiting } = hold as Record<string, unknown>;
  return `move ${String(moveId)}, for at most ${String(leftMs)} ms, ${String(waiting)} waiting`;
}
