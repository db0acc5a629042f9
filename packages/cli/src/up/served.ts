import { connect } from "node:net";
import type { Client, StampView } from "@stampyard/api";
import { exitCode } from "../exit-codes.ts";
import { CommandFailure } from "../failure.ts";
import type { Io } from "../io.ts";
import { waitFor } from "../process/wait.ts";

/**
 * Returns when the router would find every stamp: the published endpoints answer (after a restart they may still be the
 * old ones), and the router has the directory that names them.
 *
 * @throws CommandFailure TIMEOUT (exit code 3) with what was missing last
 */
export async function waitUntilServed(
  io: Pick<Io, "fetch" | "signal">,
  client: Client,
  routerAdmin: string | undefined,
  options: { readonly timeoutMs: number; readonly again: string; readonly tell: (missing: string) => void },
): Promise<readonly StampView[]> {
  let missing = "";
  let confirmed = 0;
  let stamps: readonly StampView[] = [];
  const served = await waitFor(
    async () => {
      const all = await client.all("stampList", { query: { limit: 500 }, signal: io.signal });
      stamps = all.filter((stamp) => stamp.goal !== "absent" && stamp.phase !== "gone");
      // What was adopted is not ours to bring up.
      missing =
        (await silentEndpoint(stamps.filter((stamp) => stamp.origin === "built"))) ??
        (await staleRouter(io, client, routerAdmin)) ??
        "";
      if (missing !== "") options.tell(missing);
      confirmed = missing === "" ? confirmed + 1 : 0;
      // A change is numbered a moment after it is made, so the directory's head counts when it stayed the same.
      return confirmed >= 2 ? true : undefined;
    },
    { timeoutMs: options.timeoutMs, signal: io.signal },
  );
  if (served === true) return stamps;
  throw new CommandFailure("TIMEOUT", `The router does not serve all stamps yet: ${missing}`, {
    mend: `The work goes on; watch it again with \`${options.again}\`.`,
    exit: exitCode.notReady,
  });
}

/**
 * Returns when every live router has acknowledged the head of the directory, seen twice: a change is numbered a moment
 * after it is made.
 *
 * @throws CommandFailure TIMEOUT (exit code 3) naming the router that is behind
 */
export async function waitForRouters(
  client: Client,
  options: { readonly timeoutMs: number; readonly again: string; readonly signal: AbortSignal },
): Promise<void> {
  const { timeoutMs, again, signal } = options;
  let behind = "";
  let confirmed: number | undefined;
  const done = await waitFor(
    async () => {
      const { routers, directory } = await client.status({ signal });
      const late = routers.find((router) => router.live && router.lag > 0);
      const before = confirmed;
      confirmed = late === undefined ? directory.version : undefined;
      if (late !== undefined)
        behind = `router ${late.name} has version ${late.ackedVersion}, the head is ${directory.version}`;
      return late === undefined && before === directory.version ? true : undefined;
    },
    { timeoutMs, signal, everyMs: 100 },
  );
  if (done === true) return;
  throw new CommandFailure("TIMEOUT", `Not every router serves the new release yet: ${behind}`, {
    mend: `The work goes on; watch it again with \`${again}\`.`,
    exit: exitCode.notReady,
  });
}

async function silentEndpoint(stamps: readonly StampView[]): Promise<string | undefined> {
  const all = stamps.flatMap((stamp) => stamp.endpoints.map((endpoint) => ({ ...endpoint, stamp: stamp.name })));
  const answers = await Promise.all(all.map(({ host, port }) => canConnect(host, port)));
  const silent = all.find((_, index) => answers[index] === false);
  return silent === undefined ? undefined : `${silent.stamp} does not answer at ${silent.host}:${silent.port}`;
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect({ host, port });
    const end = (connected: boolean) => {
      socket.destroy();
      settle(connected);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
    socket.setTimeout(2_000, () => end(false));
  });
}

async function staleRouter(
  io: Pick<Io, "fetch" | "signal">,
  client: Client,
  routerAdmin: string | undefined,
): Promise<string | undefined> {
  if (routerAdmin === undefined) return undefined;
  const { directory: head, mode } = await client.status({ signal: io.signal });
  if (mode !== "normal") return `the control plane is ${mode}, see stampyard status`;
  const seen = await readRouterDirectory(io, routerAdmin);
  if (seen === undefined) return "the router's admin listener does not answer";
  if (seen.incarnation === head.incarnation && seen.version >= head.version) return undefined;
  return `the router has version ${seen.version} of the directory, the head is ${head.version}`;
}

async function readRouterDirectory(
  io: Pick<Io, "fetch" | "signal">,
  admin: string,
): Promise<{ version: number; incarnation: number } | undefined> {
  try {
    const response = await io.fetch(`${admin}/stats`, {
      signal: AbortSignal.any([io.signal, AbortSignal.timeout(2_000)]),
    });
    const { directory } = (await response.json()) as { directory: { version: number; incarnation: number } };
    return directory;
  } catch {
    io.signal.throwIfAborted();
    return undefined;
  }
}
