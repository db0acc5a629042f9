/** The two loads: one that waits for each answer (wrk), for what a proxy can do at most, and one that does not. */
import { loadavg } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { logOf, machineCpuMs, measure, run, start } from "./processes.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const loadCore = 1;
export const connections = 64;

export const workloads = {
  small: { path: "/small?x=1", every: 1, connections },
  "1 MiB response": { path: "/big", every: 3, connections: 16 },
  "1 MiB upload": { path: "/up", upload: 1 << 20, every: 3, connections: 16 },
};

/** One slice of saturation: CPU per request of the proxy, requests per second, latency. */
export async function saturate(proxy, workload, { wrk, tenants, seconds }) {
  const { path, upload, connections: count } = workloads[workload];
  const env = { ...process.env, ...wrk.env, TENANTS: String(tenants), BENCH_PATH: path };
  if (upload !== undefined) env.BENCH_UPLOAD = String(upload);
  const args = ["-t1", `-c${count}`, `-d${seconds}s`, "--timeout", "5s", "-s", join(here, "load.lua")];
  const before = measure(proxy.pid);
  const [load] = loadavg();
  const out = await run("taskset", ["-c", String(loadCore), wrk.path, ...args, `http://127.0.0.1:${proxy.port}`], {
    env,
  });
  const found = /JSON (.*)/.exec(out);
  if (found === null) throw new Error(`wrk said: ${out}`);
  const result = JSON.parse(found[1]);
  const after = measure(proxy.pid);
  const requests = Math.max(1, result.requests);
  return {
    cpuUs: ((after.cpuMs - before.cpuMs) * 1_000) / requests,
    userUs: ((after.userMs - before.userMs) * 1_000) / requests,
    rps: result.requests / (result.us / 1e6),
    p50Ms: result.p50 / 1_000,
    p99Ms: result.p99 / 1_000,
    errors: result.errors + result.status,
    rssMb: after.rssMb,
    load,
  };
}

/**
 * Begins a load at a fixed rate; `end()` waits for its figures, `end("now")` stops it first. `pid` of the proxy may be
 * absent, where the upstream itself is asked.
 */
export async function openLoop({ port, pid }, { node, rate, seconds, tenants, first = 0 }) {
  const settings = JSON.stringify({ port, rate, seconds, connections, tenants, first });
  // It never sleeps, so it runs when nobody else wants the core: the upstream beside it is never kept waiting.
  const args = ["--idle", "0", node, "--max-semi-space-size=64", join(here, "open-loop.mjs"), settings];
  const child = start(loadCore, "chrt", args, { ipc: true, log: "open-loop" });
  const messages = [];
  let heard = () => {};
  child.on("message", (message) => {
    messages.push(message);
    heard();
  });
  child.once("exit", () => {
    messages.push(undefined);
    heard();
  });
  const next = async () => {
    while (messages.length === 0) {
      await new Promise((resolve) => {
        heard = resolve;
      });
    }
    const message = messages.shift();
    if (message === undefined) throw new Error(`The load ended without figures: ${logOf("open-loop")}`);
    return message;
  };
  await next();
  const before = { at: performance.now(), proxy: pid === undefined ? 0 : measure(pid).cpuMs, machine: machineCpuMs() };
  const [load] = loadavg();
  return {
    async end(when) {
      if (when === "now") child.send("stop");
      const figures = await next();
      const ms = performance.now() - before.at;
      const proxyCpu = pid === undefined ? 0 : (measure(pid).cpuMs - before.proxy) / ms;
      return { ...figures, proxyCpu, machineCpu: (machineCpuMs() - before.machine) / ms, load };
    },
  };
}
