/** The processes of a benchmark: pinned, measured from /proc, and never left behind. */
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const tickMs = 10;
const running = new Set();

/** The folder of this run. */
export const dir = mkdtempSync(join(tmpdir(), "stampyard-bench-"));

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
]) {
  process.on(signal, () => {
    killAll();
    process.exit(code);
  });
}
process.on("exit", () => killAll());

const autogroup = "/proc/self/autogroup";
let niceBefore;

/**
 * Takes the machine before whatever else runs on it in other sessions, until the end of this process. Only root may, and
 * only where the kernel groups processes by session. False: it stays as it was.
 */
export function goFirst() {
  try {
    niceBefore = /nice (-?[0-9]+)/.exec(readFileSync(autogroup, "utf8"))?.[1];
    writeFileSync(autogroup, "-20");
    return true;
  } catch {
    return false;
  }
}

/** At once, for a run that is interrupted or failed: nothing waits for anything. */
function killAll() {
  if (niceBefore !== undefined) writeFileSync(autogroup, niceBefore);
  niceBefore = undefined;
  for (const child of running) {
    for (const pid of [...childrenOf(child.pid), child.pid]) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // Gone already.
      }
    }
  }
  running.clear();
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** Ends everything that was started, politely first. */
export async function stopAll() {
  for (const child of running) child.kill("SIGTERM");
  await Promise.race([Promise.all([...running].map(ended)), wait(10_000)]);
  killAll();
}

export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ended = (child) =>
  child.exitCode !== null || child.signalCode !== null
    ? undefined
    : new Promise((resolve) => child.once("exit", resolve));

/** Starts a process that stays, on one core; its output goes to `<log>.out`. */
export function start(core, command, args, options = {}) {
  const log = openSync(join(dir, `${options.log ?? "process"}.out`), "a");
  const child = spawn("taskset", ["-c", String(core), command, ...args], {
    stdio: ["ignore", log, log, ...(options.ipc ? ["ipc"] : [])],
    cwd: options.cwd ?? dir,
    env: { ...process.env, ...options.env },
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Ends one of them and waits until it is gone. */
export async function stop(child) {
  child.kill("SIGTERM");
  await ended(child);
}

/** Runs a command to its end, and gives what it printed. @throws Error with its complaints */
export async function run(command, args, options = {}) {
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  let out = "";
  let complaints = "";
  child.stdout.on("data", (bytes) => {
    out += bytes;
  });
  child.stderr.on("data", (bytes) => {
    complaints += bytes;
  });
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).finally(() => running.delete(child));
  if (code !== 0 && options.mayFail !== true) throw new Error(`${command} ended with ${code}: ${complaints}${out}`);
  return out + (options.mayFail === true ? complaints : "");
}

export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise((resolve) => {
          const server = createServer().listen(0, "127.0.0.1", () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** One request on a connection of its own. Gives status, one header and the body; status 0 = no answer. */
export function ask(port, { host = "t17.bench.test", path = "/small", header = "x-served-by" } = {}) {
  return new Promise((resolve) => {
    const options = { port, host: "127.0.0.1", path, agent: false, timeout: 1_000, headers: { host } };
    const asked = request(options, (response) => {
      let text = "";
      response.setEncoding("latin1");
      response.on("data", (part) => {
        text += part;
      });
      response.on("error", () => resolve({ status: 0, text }));
      response.on("end", () => resolve({ status: response.statusCode, text, header: response.headers[header] }));
    });
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => resolve({ status: 0, text: "" }));
    asked.end();
  });
}

/** The end of what a process said. */
export function logOf(name) {
  try {
    return readFileSync(join(dir, `${name}.out`), "utf8").slice(-2_000);
  } catch {
    return "it said nothing";
  }
}

/** Waits until somebody serves there; `log` is whose log is told if nobody does. */
export async function answers(port, log, withinMs = 20_000) {
  for (const deadline = performance.now() + withinMs; ; ) {
    if ((await ask(port)).status === 200) return;
    if (performance.now() > deadline) throw new Error(`Nothing answers on ${port}: ${logOf(log)}`);
    await wait(50);
  }
}

/** From /proc, since asking a command would cost more than what is measured. */
function childrenOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** The process and its children: CPU time in milliseconds, all and in user space, and resident memory in MB. */
export function measure(pid) {
  const sum = { cpuMs: 0, userMs: 0, rssMb: 0 };
  for (const one of [pid, ...childrenOf(pid)]) {
    let stat;
    try {
      stat = readFileSync(`/proc/${one}/stat`, "latin1");
    } catch {
      continue;
    }
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    sum.cpuMs += (Number(fields[11]) + Number(fields[12])) * tickMs;
    sum.userMs += Number(fields[11]) * tickMs;
    sum.rssMb += (Number(fields[21]) * 4096) / 1e6;
  }
  return sum;
}

/** CPU time that the whole machine used so far, in milliseconds, with what its host took. */
export function machineCpuMs() {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync("/proc/stat", "latin1")
    .split("\n")[0]
    .split(/ +/)
    .slice(1)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) * tickMs;
}
