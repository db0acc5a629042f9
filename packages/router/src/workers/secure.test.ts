import { mkdtemp, readFile, rm } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makePair } from "../test-bed/certificates.ts";
import { eventually, makeTestBed } from "../test-bed/test-bed.ts";

/** On a connection of its own. */
function ask(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const options = {
      host: "127.0.0.1",
      port,
      servername: "acme.stamps.test",
      rejectUnauthorized: false,
      agent: false,
    };
    const sent = request({ ...options, headers: { host: "acme.stamps.test" } }, (response) => {
      response.resume();
      response.on("end", () => resolve(response.statusCode ?? 0));
    });
    sent.on("error", reject);
    sent.end();
  });
}

test("workers share the door for TLS as well, and its port is not taken from a stranger", async () => {
  await using bed = await makeTestBed();
  const folder = await mkdtemp(join(tmpdir(), "stampyard-tls-"));
  await makePair(folder, "_wildcard.stamps.test", ["*.stamps.test"]);
  bed.controlPlane.change({ kind: "routing-put", routing: { domains: ["stamps.test"] } });
  const tls = { listen: { host: "127.0.0.1", port: 0 }, certificates: folder };
  const router = await bed.start({ workers: 2, tls });
  const port = router.tlsPort ?? 0;
  const record = JSON.parse(await readFile(join(bed.folder, "router.json"), "utf8")) as Record<string, unknown>;
  expect(record).toMatchObject({ listenPort: router.listenPort, tlsPort: port });
  await eventually(async () => expect(await ask(port)).toBe(200));
  for (let n = 0; n < 12; n++) expect(await ask(port)).toBe(200);
  const metrics = await (await fetch(`http://127.0.0.1:${router.adminPort}/metrics`)).text();
  const until = Number(/certificate_valid_until_seconds\{pattern="\*\.stamps\.test"\} (\d+)/.exec(metrics)?.[1]);
  // Made for two days.
  expect(until * 1_000 - Date.now()).toBeGreaterThan(86_400_000);
  expect(until * 1_000 - Date.now()).toBeLessThan(2 * 86_400_000 + 1_000);
  const taken = { listen: { host: "127.0.0.1", port }, certificates: folder };
  const other = bed.start({ workers: 2, tls: taken, stateDir: join(bed.folder, "other") });
  await expect(other).rejects.toMatchObject({ code: "PORT_TAKEN" });
  await router.close();
  await expect(ask(port)).rejects.toThrow();
  await rm(folder, { recursive: true });
});
