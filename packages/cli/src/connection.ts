import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Client } from "@stampyard/api";
import { CommandFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { findStateDir, readRecorded, type StateDir } from "./state-dir.ts";

export type { Client };

export interface ConnectionOptions {
  readonly server?: string;
  readonly tokenFile?: string;
  readonly state?: string;
  readonly file: string;
}

/** Client of the control plane that options, then environment, then the state directory name. */
export async function connect(io: Io, options: ConnectionOptions): Promise<Client> {
  const url = controlPlaneUrl(io, options);
  const token = readToken(io, options);
  // Loaded when needed: the schemas behind it would make `--help` slow.
  const { createClient } = await import("@stampyard/api");
  return createClient({ url, token, fetch: io.fetch });
}

function controlPlaneUrl(io: Io, options: ConnectionOptions): string {
  const named = options.server ?? nonEmpty(io.env["STAMPYARD_API"]);
  if (named !== undefined) {
    if (URL.canParse(named) && /^https?:/.test(named)) return named;
    throw new CommandFailure("INVALID_REQUEST", `${JSON.stringify(named)} is no address of a control plane`, {
      mend: "Give a URL such as http://127.0.0.1:4300.",
    });
  }
  const state = findStateDir(io, options);
  const recorded = readRecorded(state.controlPlaneFile);
  if (recorded?.alive === true && recorded.url !== undefined) return recorded.url;
  throw notRunning(state, recorded !== undefined);
}

function notRunning(state: StateDir, wasThere: boolean): CommandFailure {
  const what = wasThere ? "The control plane of this fleet is not running" : "No control plane ever ran";
  return new CommandFailure("CONTROL_PLANE_UNREACHABLE", `${what} (state directory ${state.root})`, {
    mend: "Start it with `stampyard up`, or name another with --server or --state.",
  });
}

function readToken(io: Io, options: ConnectionOptions): string {
  const named = options.tokenFile ?? nonEmpty(io.env["STAMPYARD_TOKEN_FILE"]);
  const file = named === undefined ? findStateDir(io, options).adminToken : resolve(io.cwd, named);
  let token: string;
  try {
    token = readFileSync(file, "utf8").trim();
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === "EACCES" ? "may not be read by this user" : "is not there";
    throw new CommandFailure("UNAUTHENTICATED", `The token file ${file} ${why}`, {
      mend: "Name a file that holds a token with --token-file; `stampyard token create` makes one.",
      cause: error,
    });
  }
  // RFC 6750 section 2.1; anything else would end up split over headers.
  if (/^[A-Za-z0-9._~+/=-]{1,1024}$/.test(token)) return token;
  throw new CommandFailure("UNAUTHENTICATED", `The token file ${file} holds no token`, {
    mend: "It should hold one line: the token that `stampyard token create` printed.",
  });
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === "" ? undefined : text;
}
