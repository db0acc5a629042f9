import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";

/** A fleet on real parts whose stamps are quick to make: two small services and no store of their own. */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cli = join(root, "packages/cli/bin/stampyard.js");

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface LightFleet extends AsyncDisposable {
  readonly dir: string;
  readonly state: string;
  run(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>;
  /** @throws AssertionError unless the command ended with 0 */
  json<T>(...argv: string[]): Promise<T>;
  up(): Promise<{ readonly router: string; readonly api: string }>;
  recorded(file: string): { readonly pid: number; readonly url: string };
  /** Writes another release: what it answers, and how long its slower service takes to become healthy. */
  release(version: string, slowMs: number): void;
  /** Command line that runs a program of ours as somebody else would. */
  readonly cli: string;
}

export function lightFleet(name: string): LightFleet {
  const dir = mkdtempSync(join(tmpdir(), `stampyard-${name}-`));
  const state = join(dir, "state");
  const run = (argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    new Promise<Ran>((settle) => {
      const all = { ...process.env, STAMPYARD_STATE: state, NO_COLOR: "1", ...env };
      execFile(process.execPath, [cli, ...argv], { cwd: dir, env: all, timeout: 60_000 }, (error, out, err) => {
        settle({ code: error === null ? 0 : typeof error.code === "number" ? error.code : -1, out, err });
      });
    });
  const json = async <T>(...argv: string[]): Promise<T> => {
    const { code, out, err } = await run([...argv, "-o", "json"]);
    expect(code, `${argv.join(" ")}: ${err}`).toBe(0);
    return JSON.parse(out) as T;
  };
  const release = (version: string, slowMs: number) =>
    writeFileSync(join(dir, "stamp.yaml"), template(version, slowMs));
  execFile("chmod", ["755", dir]);
  writeFileSync(join(dir, "fleet.yaml"), fleet(name));
  writeFileSync(join(dir, "serve.mjs"), program);
  release("1.0.0", 0);
  return {
    dir,
    state,
    cli,
    run,
    json,
    release,
    up: () => json("up", "--port", "0", "--api-port", "0", "--admin-port", "0"),
    recorded: (file) => JSON.parse(readFileSync(join(state, file), "utf8")) as { pid: number; url: string },
    async [Symbol.asyncDispose]() {
      const down = existsSync(state) ? await run(["down", "--destroy", "--yes"]) : undefined;
      if (down !== undefined) expect(down).toMatchObject({ code: 0 });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** One request as a client of a tenant sends it. @returns status and text; status 0 when the connection failed */
export function ask(router: string, tenant: string): Promise<{ readonly status: number; readonly text: string }> {
  const { hostname, port } = new URL(router);
  return new Promise((settle) => {
    const sent = request({ hostname, port, path: "/", headers: { host: `${tenant}.localhost` } }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => settle({ status: response.statusCode ?? 0, text }));
      response.on("error", (error) => settle({ status: 0, text: String(error) }));
    });
    sent.on("error", (error) => settle({ status: 0, text: String(error) })).end();
  });
}

/** Waits for a state. @throws Error naming it when it does not come in time */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>, withinMs = 20_000) {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`Waited in vain for ${what}`);
    await delay(20);
  }
}

function fleet(name: string): string {
  return `apiVersion: stampyard.dev/v1alpha1
kind: Fleet
metadata: { name: ${name} }
template: ./stamp.yaml
pools:
  shared: { regions: [eu], stamps: { min: 1, max: 2 } }
routing:
  domains: [localhost]
# One small stamp after the other, without anything to compare them by.
rollout:
  canary: false
  waves: [{ rest: true }]
  bake: 0s
  gate: { enforced: false }
`;
}

function template(version: string, slowMs: number): string {
  const service = `kind: service
    command: node serve.mjs
    port: auto
    health: { path: /healthz }`;
  return `apiVersion: stampyard.dev/v1alpha1
kind: StampTemplate
metadata: { name: light, version: ${version} }
components:
  api:
    ${service}
    env: { VERSION: "${version}" }
  slow:
    ${service}
    env: { VERSION: "${version}", SLOW_MS: "${slowMs}" }
ingress: { service: api }
capacity: { tenants: 500 }
tenancy: { model: rows, column: tenant_id }
verify:
  - { path: /, text: "${version}" }
`;
}

const program = `import { createServer } from "node:http";
const healthyAt = Date.now() + Number(process.env.SLOW_MS ?? 0);
createServer((request, response) => {
  if (request.url === "/healthz" && Date.now() < healthyAt) response.statusCode = 503;
  response.end(process.env.VERSION);
}).listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => process.exit(0));
`;
