import { CommandFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { findStateDir, readRecorded } from "./state-dir.ts";

/** Asks the admin listener of a router: the one that is named, or the one that runs here. */
export async function askRouter(
  io: Io,
  options: { readonly admin?: string; state?: string; file: string },
  path: string,
  query: readonly (readonly [string, string])[] = [],
): Promise<Record<string, unknown>> {
  const url = new URL(path, options.admin ?? adminAddress(io, options));
  for (const [name, value] of query) url.searchParams.append(name, value);
  return await ask(io, url);
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
