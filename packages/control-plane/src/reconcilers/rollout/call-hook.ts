import { spawn } from "node:child_process";
import { type Clock, quote, type RolloutHook, StampyardError } from "@stampyard/domain";

/** What a hook hears. Names and digests only, never a secret. */
export interface HookBody {
  readonly rollout: string;
  readonly point: RolloutHook["point"];
  /** Index and name; of the whole rollout, the wave that it is at. */
  readonly wave: { readonly index: number; readonly name: string };
  readonly release: string;
  /** Of that wave; of the whole rollout, all of them. */
  readonly stamps: readonly string[];
  /** What it is taken back for, or waits for. */
  readonly cause?: string;
}

/** A server that is being restarted is asked again, and so is a command that says it cannot tell yet. */
const firstPauseMs = 500;
const longestPauseMs = 10_000;
/** Sent as if it had never been asked: too busy, or not there yet. */
const passing: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);
/** EX_TEMPFAIL of sysexits.h. */
const tryAgain = 75;
const mostOutput = 4_096;
/** How long the words of a command that has ended are waited for. */
const lastWordsMs = 200;

type Attempt =
  | { readonly kind: "done" }
  | { readonly kind: "refused"; readonly what: string }
  | { readonly kind: "again"; readonly what: string };

/**
 * Asks one hook until it answers, refuses or its time is over. It may be asked a second time after a crash of ours: `key`
 * is the same then, as header `idempotency-key` or in `STAMPYARD_HOOK_KEY`.
 * @throws StampyardError HOOK_FAILED; the signal's reason
 */
export async function callHook(
  { clock }: { readonly clock: Pick<Clock, "now" | "sleep"> },
  hook: RolloutHook,
  { key, body, signal }: { readonly key: string; readonly body: HookBody; readonly signal: AbortSignal },
): Promise<void> {
  const late = AbortSignal.timeout(hook.timeoutMs);
  const bounded = AbortSignal.any([signal, late]);
  const text = JSON.stringify(body);
  let last = "did not answer";
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
    const attempt = await tryOnce(hook, { key, text, signal: bounded });
    signal.throwIfAborted();
    if (attempt.kind === "done") return;
    if (attempt.kind === "refused") throw failed(hook, attempt.what);
    if (!late.aborted) last = attempt.what;
    if (!late.aborted) await clock.sleep(pauseMs, bounded).catch(() => {});
    signal.throwIfAborted();
    if (late.aborted) throw failed(hook, `${last} (for ${hook.timeoutMs} ms)`);
  }
}

interface Asked {
  readonly key: string;
  readonly text: string;
  readonly signal: AbortSignal;
}

async function tryOnce({ call }: RolloutHook, asked: Asked): Promise<Attempt> {
  return call.kind === "http" ? await post(call.url, asked) : await run(call.command, asked);
}

async function post(url: string, { key, text, signal }: Asked): Promise<Attempt> {
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key, "user-agent": "stampyard" },
      body: text,
      redirect: "error",
      signal,
    });
    await answer.body?.cancel();
    const what = `answered ${answer.status}`;
    if (answer.ok) return { kind: "done" };
    return passing.has(answer.status) ? { kind: "again", what } : { kind: "refused", what };
  } catch (caught) {
    // Its message may quote the URL, and with it what is secret there.
    const cause = caught instanceof Error ? caught.cause : undefined;
    const code = cause instanceof Error && "code" in cause ? `: ${String(cause.code)}` : "";
    return { kind: "again", what: `could not be asked${code}` };
  }
}

/** Without a shell, and without our environment, which holds secrets. Its whole group ends with its time. */
function run([program = "", ...args]: readonly string[], { key, text, signal }: Asked): Promise<Attempt> {
  return new Promise((resolve) => {
    const { PATH = "/usr/local/bin:/usr/bin:/bin", LANG = "C.UTF-8" } = process.env;
    const child = spawn(program, args, {
      cwd: "/",
      env: { PATH, LANG, STAMPYARD_HOOK_KEY: key },
      stdio: ["pipe", "ignore", "pipe"],
      detached: true,
    });
    const end = () => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It has ended by itself.
      }
    };
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      said = (said + part).slice(-mostOutput);
    });
    // It need not read what it is told.
    child.stdin.on("error", () => {});
    child.stdin.end(text);
    child.on("error", (error: NodeJS.ErrnoException) => {
      resolve({ kind: "refused", what: `could not be started: ${error.code ?? "unknown"}` });
    });
    child.on("close", (code) => resolve(outcomeOf(code, said, signal)));
    child.on("exit", () => {
      signal.removeEventListener("abort", end);
      // What it left behind may hold its pipes open.
      setTimeout(() => child.stderr.destroy(), lastWordsMs).unref();
    });
  });
}

function outcomeOf(code: number | null, said: string, signal: AbortSignal): Attempt {
  if (code === 0) return { kind: "done" };
  const line = said.trim().split("\n").at(-1) ?? "";
  const what = `ended with ${code ?? "a signal"}${line === "" ? "" : `: ${quote(line.slice(0, 200))}`}`;
  return { kind: code === tryAgain || signal.aborted ? "again" : "refused", what };
}

function failed({ name, point }: RolloutHook, what: string): StampyardError {
  return new StampyardError("HOOK_FAILED", `Hook ${name} (${point}) ${what}`, {
    mend: "Mend the hook, and resume the rollout.",
  });
}
