/**
 * The folder of a router that knows all tenants, made by the router's own code; `hostnames` gives those of a tenant by its
 * number. Gives the position up to which it is written.
 */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { newDirectory, openDirectoryFiles } from "../../packages/router/dist/directory-files.js";
import { saveKeys } from "../../packages/router/dist/key-file.js";
import { homeOf, stamps } from "./peers.mjs";

export async function writeState(folder, ports, tenants, hostnames = () => []) {
  await mkdir(folder, { recursive: true });
  const directory = newDirectory();
  directory.apply({
    kind: "routing-put",
    routing: { domains: ["bench.test"], header: { name: "x-tenant", trustedPeers: ["10.0.0.0/8"] } },
  });
  const keys = new Map();
  for (const [n, stamp] of stamps.entries()) {
    const endpoints = [{ host: "127.0.0.1", port: ports[n] }];
    directory.apply({ kind: "stamp-put", stamp, pool: "shared", region: "local", endpoints, endpointRevision: 1 });
    keys.set(stamp, [{ kid: "k1", secret: randomBytes(32).toString("base64url") }]);
  }
  for (let n = 0; n < tenants; n++) {
    directory.apply({ kind: "tenant-put", tenant: `t${n}`, stamp: homeOf(n), epoch: 1, hostnames: hostnames(n) });
  }
  const position = { incarnation: 1, version: tenants + 5, chain: "0".repeat(64) };
  const files = openDirectoryFiles(
    folder,
    { generations: [], good: undefined },
    {
      onDurable() {},
      onTrouble(reason) {
        throw new Error(reason);
      },
    },
  );
  files.snapshot(directory, position);
  await files.close();
  await saveKeys(folder, keys);
  return position;
}
