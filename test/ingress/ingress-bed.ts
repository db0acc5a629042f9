import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { eventually, makeTestBed, type TestBed } from "../../packages/router/src/test-bed/test-bed.ts";
import type { RunningRouter } from "../../packages/router/src/router.ts";
import type { DebianBinary } from "../debian-binary.ts";

/** The one code block of this language on a page of docs/ingress. */
export function blockOf(page: string, language: string): string {
  const text = readFileSync(new URL(`../../docs/ingress/${page}`, import.meta.url), "utf8");
  const blocks = [...text.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))];
  const block = blocks[0]?.[1];
  if (blocks.length !== 1 || block === undefined) throw new Error(`${page} has ${blocks.length} blocks of ${language}`);
  return block;
}

/** Replaces a part that must be there, so that the page cannot drift from what is tested. */
export function put(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`The page does not hold ${from}`);
  return text.replaceAll(from, to);
}

export interface Ingress extends AsyncDisposable {
  readonly bed: TestBed;
  readonly router: RunningRouter;
  readonly port: number;
}

/** Two stamps, a router that can be asked, and an ingress on this configuration. */
export async function startIngress(
  program: DebianBinary,
  write: (folder: string, port: number, bed: TestBed, router: RunningRouter) => Promise<readonly string[]>,
): Promise<Ingress> {
  const bed = await makeTestBed();
  let child: ChildProcess | undefined;
  try {
    const router = await bed.start({ decide: { host: "127.0.0.1", port: 0 } });
    const port = await freePort();
    const args = await write(bed.folder, port, bed, router);
    let said = "";
    child = spawn(program.path, args, { env: { ...process.env, ...program.env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk) => {
        said += String(chunk);
      });
    }
    const started = child;
    await eventually(() => {
      if (started.exitCode !== null) throw new Error(`${program.path} ended: ${said}`);
      return answers(port);
    }, 10_000);
    return {
      bed,
      router,
      port,
      async [Symbol.asyncDispose]() {
        await end(started);
        await bed[Symbol.asyncDispose]();
      },
    };
  } catch (caught) {
    if (child !== undefined) await end(child);
    await bed[Symbol.asyncDispose]();
    throw caught;
  }
}

export function save(folder: string, name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function answers(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve();
    });
    socket.once("error", reject);
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
