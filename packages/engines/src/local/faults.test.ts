import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import type { StampObservation } from "@stampyard/domain";
import { serviceFixture } from "@stampyard/testing";
import { expect, test } from "vitest";
import { isRoot } from "./places.ts";
import { findByMarker, identify, isAlive } from "./process/identity.ts";
import { runCommand } from "./process/command.ts";
import { call, hostPid, nats, never, openTestEngine, postgres, redis, until } from "./test-engine.ts";

const api = (edit: Parameters<typeof serviceFixture>[2] = {}) => serviceFixture("api", "serve.mjs", edit);
const pids = (seen: StampObservation) => seen.components.map((component) => component.pid);

test("kill -9 of the stamp host: components live on and are reattached, not started twice", async () => {
  await using under = await openTestEngine();
  const spec = under.spec("eu-1", [redis, nats, api()]);
  const before = await under.engine.apply(spec, call);
  const first = hostPid(under, "eu-1");
  process.kill(first, "SIGKILL");
  const headless = await until("the host to be gone", async () => {
    const seen = await under.engine.observe("eu-1", never);
    return seen.host === "down" ? seen : undefined;
  });
  expect(pids(headless)).toEqual(pids(before));
  expect(headless.components.map((c) => c.status)).toEqual(["healthy", "healthy", "healthy"]);
  expect(await (await fetch(`http://127.0.0.1:${before.endpoints[0]?.port}/`)).text()).toBe("api");
  expect((await under.engine.plan(spec, never)).map((change) => change.component)).toEqual(["host"]);

  // Two control planes come back at once; one host must be the end of it.
  const [a, b] = await Promise.all([under.engine.apply(spec, call), (await under.again()).apply(spec, call)]);
  expect(a).toEqual(before);
  expect(b).toEqual(before);
  const place = under.place("eu-1");
  const marked = findByMarker(place.marker, [place.dataDir, place.runDir]).map((process) => process.pid);
  expect(marked.sort()).toEqual(pids(before).sort());
  expect(hostPid(under, "eu-1")).not.toBe(first);
});

test.runIf(process.platform === "linux")(
  "a zombie is not alive, and neither is another process under the same pid (D11)",
  async () => {
    const parent = spawn("sh", ["-c", "sleep 0.1 & echo $!; exec sleep 30"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    try {
      const [line] = (await once(parent.stdout, "data")) as [Buffer];
      const zombie = Number(line.toString());
      await until("the child to be a zombie", () =>
        readFileSync(`/proc/${zombie}/stat`, "utf8").includes(") Z ") ? true : undefined,
      );
      expect(() => process.kill(zombie, 0)).not.toThrow();
      expect(identify(zombie)).toBeUndefined();
      const self = identify(process.pid);
      expect(self !== undefined && isAlive(self)).toBe(true);
      expect(self !== undefined && isAlive({ ...self, startTime: "1" })).toBe(false);
      expect(self !== undefined && isAlive({ ...self, bootId: "another" })).toBe(false);
    } finally {
      parent.kill("SIGKILL");
    }
  },
);

test("a port taken by a stranger while the stamp was down: a new port, and a higher endpoint revision", async () => {
  await using under = await openTestEngine();
  const spec = under.spec("eu-1", [nats, api({ env: { NAME: ["api"], NATS: [{ of: "queue", field: "url" }] } })]);
  const before = await under.engine.apply(spec, call);
  await under.engine.stop("eu-1", call);
  const strangers = await Promise.all(Object.values(under.ledgerOf("eu-1")?.ports ?? {}).map(listen));
  try {
    expect(strangers).toHaveLength(2);
    const after = await under.engine.apply(spec, call);
    expect(after.components.map((component) => component.status)).toEqual(["healthy", "healthy"]);
    expect(after.endpoints).not.toEqual(before.endpoints);
    expect(after.endpointRevision).toBeGreaterThan(before.endpointRevision);
  } finally {
    for (const stranger of strangers) stranger.close();
  }
});

function listen(port: number): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  return new Promise((settle, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => settle(server));
  });
}

test("an update loses no request: the new process is healthy before the old one stops", async () => {
  await using under = await openTestEngine();
  const before = await under.engine.apply(under.spec("eu-1", [api()]), call);
  const old = before.endpoints[0]?.port;
  const slow = fetch(`http://127.0.0.1:${old}/slow`).then((answer) => answer.text());
  const after = await under.engine.apply(under.spec("eu-1", [api({ env: { NAME: ["new"] } })]), call);
  const now = after.endpoints[0]?.port;
  expect(now).not.toBe(old);
  const say = async (port: number | undefined) => (await fetch(`http://127.0.0.1:${port}/`)).text();
  // Routers hear of the new endpoint only now; until then the old process answers them.
  expect([await say(old), await say(now)]).toEqual(["api", "new"]);
  expect(await slow).toBe("api");
  await until("the old process to end", async () =>
    (await say(old).catch(() => undefined)) === undefined ? true : undefined,
  );
  await until("its port to be free", () =>
    Object.keys(under.ledgerOf("eu-1")?.ports ?? {}).length === 1 ? true : undefined,
  );
});

test("a service that dies again and again is restarted with a growing pause, and its neighbours stay", async () => {
  await using under = await openTestEngine();
  const before = await under.engine.apply(under.spec("eu-1", [redis, api()]), call);
  for (let restarts = 1; restarts <= 2; restarts++) {
    const { pid } = (await under.engine.observe("eu-1", never)).components[1] ?? {};
    process.kill(pid ?? 0, "SIGKILL");
    await until("its restart", async () => {
      const [, seen] = (await under.engine.observe("eu-1", never)).components;
      return seen?.status === "healthy" && seen.restarts === restarts ? true : undefined;
    });
  }
  const after = await under.engine.observe("eu-1", never);
  expect(after.components[0]).toEqual(before.components[0]);
  expect(after.endpoints).toEqual(before.endpoints);
});

test("a component that ends at once is given up soon, with its last words but no secret in them", async () => {
  await using under = await openTestEngine();
  const spec = under.spec("eu-1", [
    redis,
    api({ command: [["node"], ["crash.mjs"]], env: { SECRET: [{ of: "cache", field: "url" }] } }),
  ]);
  const error = await under.engine.apply(spec, call).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ code: "STAMP_FAILED" });
  const { message } = error as Error;
  expect(message).toContain("it ended with code 7");
  expect(message).toContain("password is unix://");
  expect(message).not.toContain(spec.secrets["cache.password"]);
  for await (const line of under.engine.logs("eu-1", { signal: never })) {
    expect(line.text).not.toContain(spec.secrets["cache.password"]);
  }
});

test("an unknown program, a missing work directory and a missing secret each say what is missing", async () => {
  await using under = await openTestEngine();
  const attempt = (edit: Parameters<typeof serviceFixture>[2]) =>
    under.engine.apply(under.spec("eu-1", [api(edit)]), call);
  await expect(attempt({ command: [["no-such-program"]] })).rejects.toMatchObject({
    code: "STAMP_FAILED",
    message: expect.stringContaining("no-such-program"),
  });
  await expect(attempt({ workdir: "nowhere" })).rejects.toMatchObject({ code: "STAMP_FAILED" });
  const external = {
    kind: "external",
    name: "mail",
    url: ["https://mail.example"],
    secret: "env:NO_SUCH_SECRET",
  } as const;
  await expect(under.engine.apply(under.spec("eu-1", [api(), external]), call)).rejects.toMatchObject({
    message: expect.stringContaining("mail"),
    mend: expect.stringContaining("NO_SUCH_SECRET"),
  });
});

test("a missing server binary is BINARY_MISSING with the mend, and nothing is left of the stamp", async () => {
  await using under = await openTestEngine();
  process.env["STAMPYARD_NATS_SERVER"] = "/nowhere/nats-server";
  try {
    await expect(under.engine.apply(under.spec("eu-1", [nats, api()]), call)).rejects.toMatchObject({
      code: "BINARY_MISSING",
      message: expect.stringContaining("/nowhere/nats-server"),
      mend: expect.stringMatching(/apt-get install|brew install/),
    });
    expect((await under.engine.observe("eu-1", never)).presence).toBe("absent");
  } finally {
    delete process.env["STAMPYARD_NATS_SERVER"];
  }
});

test("kill -9 of whoever called apply(): the next call goes on from what is there", async () => {
  await using under = await openTestEngine();
  const spec = under.spec("eu-1", [postgres, redis, api({ env: { NAME: ["api"], DB: [{ of: "db", field: "url" }] } })]);
  const specFile = join(under.dir, "spec.json");
  writeFileSync(specFile, JSON.stringify(spec), { mode: 0o600 });
  const options = JSON.stringify({ stateDir: under.stateDir, ledgerFile: under.ledgerFile });
  const program = `
    import { readFileSync } from "node:fs";
    import { openLocalEngine } from "@stampyard/engines";
    const engine = await openLocalEngine(${options});
    const progress = (event) => console.log(event.component + " " + event.step);
    await engine.apply(JSON.parse(readFileSync(${JSON.stringify(specFile)})), { token: 1, signal: new AbortController().signal, progress });
  `;
  const caller = spawn(process.execPath, ["--input-type=module", "-e", program], {
    cwd: import.meta.dirname,
    env: { ...process.env, NODE_OPTIONS: "" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const part of caller.stdout) if (String(part).includes("db clone")) break;
  caller.kill("SIGKILL");
  const seen = await under.engine.apply(spec, call);
  expect(seen.components.map((component) => [component.status, component.restarts])).toEqual([
    ["healthy", 0],
    ["healthy", 0],
    ["healthy", 0],
  ]);
});

test.runIf(isRoot && process.platform === "linux")(
  "a full disk is DISK_FULL that names the place, blocks no retry, and half a stamp can be destroyed",
  async () => {
    const mount = mkdtempSync(join(tmpdir(), "stampyard-small-disk-"));
    const mounted = await runCommand("mount", ["-t", "tmpfs", "-o", "size=12m,mode=0755", "tmpfs", mount]);
    expect(mounted.code, mounted.stderr).toBe(0);
    try {
      await using under = await openTestEngine({ stateDir: join(mount, "state") });
      const spec = under.spec("eu-1", [postgres, api({ env: { DB: [{ of: "db", field: "url" }] } })]);
      const refusal = { code: "DISK_FULL", message: expect.stringContaining(mount) };
      const filler = join(mount, "filler");
      expect(() => writeFileSync(filler, Buffer.alloc(13 * 1_048_576))).toThrow("ENOSPC");
      await expect(under.engine.apply(spec, call), "without one free byte").rejects.toMatchObject(refusal);
      await under.engine.destroy("eu-1", call);
      expect((await under.engine.observe("eu-1", never)).presence).toBe("absent");
      rmSync(filler);
      await expect(under.engine.apply(spec, call), "in the middle of the clone").rejects.toMatchObject(refusal);
      expect(readdirSync(under.place("eu-1").dataDir).filter((name) => name.startsWith("db"))).toEqual([]);
      await runCommand("mount", ["-o", "remount,size=300m", mount]);
      const seen = await under.engine.apply(spec, call);
      expect(seen.components.map((component) => component.status)).toEqual(["healthy", "healthy"]);
    } finally {
      await runCommand("umount", [mount]);
      rmSync(mount, { recursive: true, force: true });
    }
  },
);

test.runIf(isRoot)(
  "an application that the stamp's user cannot read runs as we do, and observe() says so",
  async () => {
    await using under = await openTestEngine({ sourceMode: 0o700 });
    const seen = await under.engine.apply(under.spec("eu-1", [redis, api()]), call);
    expect(seen.reason).toContain("closed to the stamp's own user");
    const { uid } = (await (await fetch(`http://127.0.0.1:${seen.endpoints[0]?.port}/env`)).json()) as { uid: number };
    expect(uid).toBe(0);
    expect(statSync(join(under.place("eu-1").dataDir, "cache")).uid).toBe(under.ledgerOf("eu-1")?.uid);
  },
);

test("destroy() of half a stamp takes also a process that is on no record", async () => {
  await using under = await openTestEngine();
  await under.engine.apply(under.spec("eu-1", [api()]), call);
  const place = under.place("eu-1");
  process.kill(hostPid(under, "eu-1"), "SIGKILL");
  rmSync(place.stateFile);
  await under.engine.destroy("eu-1", call);
  expect(findByMarker(place.marker, [])).toEqual([]);
  expect(existsSync(place.dir)).toBe(false);
});

test("logs() follows, over a rotation too, until its signal", async () => {
  await using under = await openTestEngine();
  const spec = under.spec("eu-1", [api()]);
  await under.engine.apply(spec, call);
  const log = join(under.place("eu-1").logDir, "api.0.log");
  const abort = new AbortController();
  const lines: string[] = [];
  const reading = (async () => {
    for await (const line of under.engine.logs("eu-1", { component: "api", follow: true, signal: abort.signal })) {
      lines.push(line.text);
    }
  })();
  appendFileSync(log, "one line that is longer than what follows\n");
  await until("the first line", () => (lines.length === 1 ? true : undefined));
  writeFileSync(log, "two\n");
  await until("the line after the rotation", () => (lines.includes("two") ? true : undefined));
  abort.abort();
  await reading;
});
