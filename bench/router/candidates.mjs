/** The proxies that are compared: ours, Debian's and the Node ones, all on core 0, over the same tenants and upstreams. */
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { workerFlags } from "../../packages/router/dist/workers/place.js";
import { needDebianBinary } from "../../test/debian-binary.ts";
import { writeHaproxy, writeHomes, writeNginx, writeUpstream } from "./peers.mjs";
import { answers, dir, freePorts, logOf, run, start } from "./processes.mjs";
import { writeState } from "./state.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
export const node = join(root, "node_modules/.bin/node");
export const nodeProxies = ["http-proxy", "fastify", "undici"];
export const fastName = "stampyard (fast I/O)";
export const fastEnv = { STAMPYARD_ROUTER_IO: "fast" };

/** Debian's programs: what is installed, or downloaded by apt and unpacked. */
export const programs = () => ({
  nginx: needDebianBinary("nginx"),
  haproxy: needDebianBinary("haproxy"),
  wrk: needDebianBinary("wrk"),
});

/** Whether the router that was built knows a faster way to its sockets. */
export function hasFastIo() {
  const config = join(root, "packages/router/dist/config.js");
  return existsSync(config) && readFileSync(config, "utf8").includes("STAMPYARD_ROUTER_IO");
}

export function startNginx(core, { nginx }, name) {
  const args = ["-e", join(dir, `${name}.err`), "-c", join(dir, `${name}.conf`), "-g", "daemon off;"];
  return start(core, nginx.path, args, { log: name, env: nginx.env });
}

export function startHaproxy(core, { haproxy }, log) {
  return start(core, haproxy.path, ["-db", "-f", join(dir, "haproxy.cfg")], { log, env: haproxy.env });
}

/** Names of rows hold what paths cannot. */
export const fileNameOf = (name) => name.replace(/[^a-z0-9]+/gi, "-");

/** One process of our router, with the flags of a worker, on a folder that holds its directory; `env` adds to its configuration. */
export async function startOurs({ name, port, state, flags = [], env = {} }) {
  const log = fileNameOf(name);
  const [admin] = await freePorts(1);
  const settings = {
    STAMPYARD_ROUTER_STATE: state,
    STAMPYARD_ROUTER_LISTEN: `127.0.0.1:${port}`,
    STAMPYARD_ROUTER_ADMIN: `127.0.0.1:${admin}`,
    STAMPYARD_ROUTER_ACCESS_LOG: join(dir, `${log}.log`),
    STAMPYARD_ROUTER_WORKERS: "0",
    ...env,
  };
  const args = [...workerFlags, ...flags, join(root, "packages/router/dist/main.js")];
  return start(0, node, args, { log, env: settings });
}

async function installNodeProxies() {
  const folder = join(dir, "proxies");
  cpSync(join(here, "proxies"), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  const wanted = ["http-proxy@1.18.1", "fastify@5", "@fastify/http-proxy@11", "undici@7"];
  await run("npm", ["install", "--silent", "--no-audit", "--no-fund", ...wanted], { cwd: folder });
  return folder;
}

/** Starts upstreams and proxies; gives the proxies and the upstreams' ports when all answer. */
export async function startAll({ found, tenants, wants, quick, profile, variant }) {
  const ports = await freePorts(4);
  writeUpstream(dir, ports);
  startNginx(1, found, "upstream");
  await Promise.all(ports.map((port) => answers(port, "upstream")));
  const list = [];
  const add = async (name, starting) => {
    if (!wants(name)) return;
    const [port] = await freePorts(1);
    const child = await starting(port);
    await answers(port, fileNameOf(name));
    list.push({ name, port, pid: child.pid });
  };
  const ours = (name, options) =>
    add(name, async (port) => {
      const state = join(dir, `state-of-${fileNameOf(name)}`);
      await writeState(state, ports, tenants);
      return startOurs({ name, port, state, ...options });
    });
  await ours("stampyard", { flags: profile ? ["--cpu-prof", `--cpu-prof-dir=${profile}`] : [] });
  if (variant !== undefined) await ours("variant", { flags: variant.split(" ") });
  if (hasFastIo()) {
    await ours(fastName, { env: fastEnv });
    // It says so where it goes the public way all the same.
    if (/fast way to serve sockets is not used/.test(logOf(fileNameOf(fastName)))) {
      console.log(`Without ${fastName}: ${list.pop().name} is served by the public interface on this Node`);
    }
  }
  await add("nginx", (port) => {
    writeNginx(dir, port, ports, tenants);
    return startNginx(0, found, "nginx");
  });
  await add("haproxy", (port) => {
    writeHaproxy(dir, port, ports, tenants);
    return startHaproxy(0, found, "haproxy");
  });
  if (quick || !nodeProxies.some(wants)) return { list, ports };
  const folder = await installNodeProxies();
  writeHomes(dir, ports, tenants);
  for (const name of nodeProxies) {
    await add(name, (port) => {
      const options = JSON.stringify({ map: join(dir, "homes"), log: join(dir, `${name}.log`), port });
      return start(0, node, [join(folder, `${name}.mjs`), options], { log: name, cwd: folder });
    });
  }
  return { list, ports };
}
