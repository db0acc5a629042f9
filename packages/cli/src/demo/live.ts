import type { Io } from "../io.ts";
import { stampTable } from "../commands/stamp/list.ts";
import { tenantTable } from "../commands/tenant/list.ts";
import { type Style, styleFor } from "../output/style.ts";
import { type DemoAction, type DemoContext, demoActions } from "./actions.ts";
import { liveLines, type LiveSample, wrapWords } from "./live-lines.ts";
import type { Stage } from "./stage.ts";
import { createTally, type Phase } from "./tally.ts";
import { createTenant, demoTenants } from "./tenants.ts";
import { startTraffic } from "./traffic.ts";

export interface LiveOptions {
  readonly stage: Stage;
  readonly io: Io;
  /** Ends the demo; the same as Ctrl-C. */
  readonly quit: () => void;
}

/** Stays up until Ctrl-C or `q`, and does what the keys say. */
export async function runLive({ stage, io, quit }: LiveOptions): Promise<void> {
  const tally = createTally();
  let phase: Phase = "steady";
  const traffic = startTraffic({ routerPort: stage.ports.router, phase: () => phase, onOutcome: tally.add });
  try {
    const housed = await Promise.all(demoTenants.map((key) => createTenant(stage.client, key, io.signal)));
    for (const tenant of housed) traffic.add(tenant.key, tenant.stamp);
    await printStage(stage, io);
    const screen = openScreen(io, () => ({ perStamp: countStamps(tally), atMs: performance.now() }));
    const context: DemoContext = {
      stage,
      traffic,
      tally,
      signal: io.signal,
      say: screen.say,
      setPhase: (p) => (phase = p),
    };
    const closeKeys = listenToKeys(context, quit);
    try {
      await untilAborted(io.signal);
    } finally {
      closeKeys();
      screen.close();
    }
  } finally {
    await traffic.stop();
  }
}

async function printStage(stage: Stage, io: Io): Promise<void> {
  const { client, ports, fleet, state } = stage;
  const [stamps, tenants] = await Promise.all([
    client.all("stampList", { signal: io.signal }),
    client.all("tenantList", { signal: io.signal }),
  ]);
  const style = styleFor(io.out, io.env);
  const urls = tenants.slice(0, 2).map((tenant) => `  http://${tenant.key}.localhost:${ports.router}/`);
  const first = tenants[0]?.key ?? "acme";
  io.out.write(`
${stampTable(stamps, false, Date.now())}
${tenantTable(tenants)}
${style.bold("Open")}
${urls.join("\n")}
  curl -H 'Host: ${first}.localhost' http://127.0.0.1:${ports.router}/
${style.bold("API")}
  ${fleet.api}   (token in ${state.adminToken})
${style.bold("Try")}
  export STAMPYARD_STATE=${state.root}
  npm run --silent stampyard -- stamp list
  npm run --silent stampyard -- tenant create initrode --wait
  npm run --silent stampyard -- route explain http://${first}.localhost:${ports.router}/
${style.bold("Keys")}
${keyHelp(demoActions, style)}

`);
}

function keyHelp(actions: readonly DemoAction[], style: Style): string {
  const quitLine = { key: "q", does: "quit (also Ctrl-C): nothing is left behind" };
  return [...actions, quitLine].map(({ key, does }) => `  ${style.bold(key)}  ${does}`).join("\n");
}

function countStamps(tally: ReturnType<typeof createTally>): LiveSample["perStamp"] {
  const stamps = [...new Set(tally.tenants().values())].sort();
  return stamps.map((stamp) => {
    const tenants = [...tally.tenants()].filter(([, home]) => home === stamp).length;
    const { requests, errors } = tally.ofStamp(stamp);
    return { stamp, tenants, requests, errors };
  });
}

/** Lines of talk that stay, and below them one line per stamp that is redrawn. Elsewhere than on a terminal: a line now and then. */
function openScreen(io: Io, sample: () => LiveSample) {
  const style = styleFor(io.out, io.env);
  const everyMs = io.out.isTTY ? 500 : 5_000;
  let before = sample();
  let drawn = 0;
  let lines: readonly string[] = [];
  const draw = (above: string) => {
    const clear = io.out.isTTY && drawn > 0 ? `\u001b[${drawn}A\u001b[0J` : "";
    const shown = io.out.isTTY ? lines : [];
    io.out.write(`${clear}${above}${shown.map((line) => `${line}\n`).join("")}`);
    drawn = shown.length;
  };
  const timer = setInterval(() => {
    const now = sample();
    lines = liveLines(before, now, style);
    before = now;
    draw(io.out.isTTY ? "" : `${lines.join("\n")}\n`);
  }, everyMs);
  return {
    say: (text: string) => {
      const [first = "", ...rest] = wrapWords(text, io.out.isTTY ? io.out.columns - 10 : Number.POSITIVE_INFINITY);
      const time = style.dim(new Date().toISOString().slice(11, 19));
      draw(`${time} ${first}\n${rest.map((line) => `         ${line}\n`).join("")}`);
    },
    close: () => clearInterval(timer),
  };
}

/** One action at a time; a key pressed meanwhile is told so. */
function listenToKeys(context: DemoContext, quit: () => void): () => void {
  const { stdin } = process;
  if (stdin.isTTY !== true) return () => undefined;
  let busy: DemoAction | undefined;
  const onData = (data: Buffer) => {
    for (const key of data.toString("utf8")) {
      if (key === "q" || key === "\u0003" || key === "\u0004") return quit();
      const action = demoActions.find((candidate) => candidate.key === key);
      if (action === undefined) continue;
      if (busy !== undefined) {
        context.say(`Still busy: ${busy.does}`);
        continue;
      }
      busy = action;
      action
        .run(context)
        .catch((error: Error) => {
          if (!context.signal.aborted) context.say(error.message);
        })
        .finally(() => {
          busy = undefined;
        });
    }
    return undefined;
  };
  stdin.setRawMode(true);
  stdin.resume();
  stdin.on("data", onData);
  return () => {
    stdin.off("data", onData);
    stdin.setRawMode(false);
    stdin.pause();
  };
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((settle) => {
    if (signal.aborted) settle();
    signal.addEventListener("abort", () => settle(), { once: true });
  });
}
