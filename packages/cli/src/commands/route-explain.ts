import { command } from "../define.ts";
import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import { fields } from "../output/table.ts";
import { findStateDir, readRecorded } from "../state-dir.ts";

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
    const admin = run.options.admin ?? adminAddress(run.io, run.options);
    const url = new URL("/explain", admin);
    url.searchParams.set("method", run.options.method.toUpperCase());
    url.searchParams.set("url", target.href);
    if (run.options.peer !== undefined) url.searchParams.set("peer", run.options.peer);
    if (!headers.some(([name]) => name.toLowerCase() === "host")) headers.unshift(["host", target.host]);
    for (const [name, value] of headers) url.searchParams.append("header", `${name}: ${value}`);
    const answer = await ask(run.io, url);
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

function adminAddress(io: Io, options: { state?: string; file: string }): string {
  const recorded = readRecorded(findStateDir(io, options).routerFile);
  if (recorded?.alive === true && recorded.adminUrl !== undefined) return recorded.adminUrl;
  throw new CommandFailure("ROUTER_UNREACHABLE", "No router of this fleet runs on this machine", {
    mend: "Start it with `stampyard up`, or name one with --admin.",
  });
}

async function ask(io: Io, url: URL): Promise<Record<string, unknown>> {
  let response: Response;
  try {
    response = await io.fetch(url, { signal: AbortSignal.any([io.signal, AbortSignal.timeout(10_000)]) });
  } catch (error) {
    throw new CommandFailure("ROUTER_UNREACHABLE", `The router at ${url.origin} does not answer`, {
      mend: "Check the address, and that the router runs (`stampyard doctor`).",
      cause: error,
    });
  }
  const body = (await response.json().catch(() => undefined)) as Record<string, unknown> | undefined;
  if (response.ok && body !== undefined) return body;
  const text = (key: string) => (typeof body?.[key] === "string" ? (body[key] as string) : undefined);
  throw new CommandFailure(
    text("code") ?? "INVALID_REQUEST",
    text("detail") ?? `The router answered ${response.status}`,
    {
      ...(text("mend") === undefined ? {} : { mend: text("mend") ?? "" }),
    },
  );
}

/** The router's answer; a newer router may say more, which JSON shows. */
function explanationText(answer: Record<string, unknown>): string {
  const text = (key: string) => (answer[key] === undefined ? undefined : String(answer[key]));
  const carriers = Array.isArray(answer["carriers"])
    ? (answer["carriers"] as { rule?: unknown; tenant?: unknown }[])
    : [];
  const endpoints = Array.isArray(answer["endpoints"]) ? answer["endpoints"].join(", ") : undefined;
  const forwarded = `forward to ${text("stamp")} as ${text("forwardedPath") ?? "/"}`;
  return fields([
    ["Host", text("host")],
    ["Path", text("path")],
    ["Named by", carriers.map((carrier) => `${carrier.rule} (${carrier.tenant})`).join(", ")],
    ["Tenant", text("tenant")],
    ["Stamp", text("stamp")],
    ["Epoch", text("epoch")],
    ["Endpoints", endpoints],
    ["Outcome", answer["outcome"] === "forward" ? forwarded : `refuse with ${text("status")}: ${text("reason")}`],
    ["Directory", text("directoryVersion") === undefined ? undefined : `version ${text("directoryVersion")}`],
  ]);
}
