import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lightFleet, type LightFleet, until } from "./light-fleet.ts";

/** What is refused changes nothing and stops nothing: tried on real processes, through the commands. */

let fleet: LightFleet;
beforeAll(() => {
  fleet = lightFleet("refusals");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
}, 60_000);

const controlPlane = () => fleet.recorded("control-plane.json");

function processesOfState(): string[] {
  return readdirSync("/proc").filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(fleet.state);
    } catch {
      return false;
    }
  });
}

function taken(): Promise<Server & { readonly port: number }> {
  const server = createServer();
  return new Promise((settle) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      settle(Object.assign(server, { port }));
    });
  });
}

describe.runIf(process.platform === "linux")("a refusal", { timeout: 60_000 }, () => {
  test("of up on a taken port starts nothing, and names port and flag", async () => {
    const stranger = await taken();
    const others: Record<string, string> = { "--port": "0", "--api-port": "0", "--admin-port": "0" };
    for (const flag of Object.keys(others)) {
      const ports = Object.entries({ ...others, [flag]: `${stranger.port}` }).flat();
      const refused = await fleet.run(["up", ...ports]);
      expect(refused).toMatchObject({ code: 1, err: expect.stringMatching(/\[PORT_TAKEN\]\n {2}try: .*/) });
      expect(refused.err).toContain(`Port ${stranger.port}`);
      expect(refused.err).toContain(flag);
      expect(processesOfState()).toEqual([]);
    }
    const served = await fleet.run(["server", "--listen", `127.0.0.1:${stranger.port}`]);
    expect(served).toMatchObject({ code: 1, err: expect.stringContaining("PORT_TAKEN") });
    expect(processesOfState()).toEqual([]);
    stranger.close();
  });

  test("of a second control plane in one state directory leaves the first in charge", async () => {
    await fleet.up();
    const before = controlPlane();
    for (const url of ["", "postgres://nobody@127.0.0.1:1/none"]) {
      const second = await fleet.run(["server", "--listen", "127.0.0.1:0"], { DATABASE_URL: url });
      expect(second).toMatchObject({ code: 1, err: expect.stringContaining(`process ${before.pid}`) });
      expect(second.err).toContain("[LOCKED]");
      expect(controlPlane()).toEqual(before);
    }
    expect((await fleet.run(["status"])).code).toBe(0);
  });

  test("of a restore leaves the control plane running and the store as it is", async () => {
    await fleet.json("tenant", "create", "acme", "--wait");
    const before = controlPlane();
    const backup = join(fleet.state, "a.backup");
    expect((await fleet.run(["controlplane", "backup", backup])).code).toBe(0);
    const restore = (...argv: string[]) => fleet.run(["controlplane", "restore", "--yes", ...argv]);

    expect(await restore(backup)).toMatchObject({ code: 1, err: expect.stringMatching(/not empty[\s\S]*--replace/) });
    const key = join(fleet.state, "secrets", "master.key");
    const kept = readFileSync(key);
    writeFileSync(key, `${randomBytes(32).toString("base64")}\n`);
    expect(await restore(backup, "--replace")).toMatchObject({ code: 1, err: expect.stringContaining("master key") });
    writeFileSync(key, kept);
    const broken = join(fleet.state, "broken.backup");
    writeFileSync(broken, readFileSync(backup).subarray(0, -100));
    expect(await restore(broken, "--replace")).toMatchObject({ code: 1, err: expect.stringContaining("Nothing was") });

    expect(controlPlane()).toEqual(before);
    expect((await fleet.run(["tenant", "show", "acme"])).code).toBe(0);
    expect(savedStores()).toEqual([]);
  });

  test("is not needed where the present store can be saved first, though its control plane is dead", async () => {
    const { pid } = controlPlane();
    process.kill(pid, "SIGKILL");
    await until("its end", () => (existsSync(`/proc/${pid}`) ? undefined : true));
    const restored = await fleet.run(["controlplane", "restore", "--yes", "--replace", join(fleet.state, "a.backup")]);
    expect(restored).toMatchObject({ code: 0, err: expect.stringContaining("The present store is saved as") });
    const [saved = ""] = savedStores();
    expect(readFileSync(join(fleet.state, saved), "utf8")).toContain('"acme"');
    // The stamps remember who led, and so does whoever stops them.
    expect(await fleet.run(["down", "--destroy", "--yes"])).toMatchObject({ code: 0 });
    expect(processesOfState()).toEqual([]);
  });
});

function savedStores(): string[] {
  return readdirSync(fleet.state).filter((name) => name.startsWith("before-restore-"));
}
