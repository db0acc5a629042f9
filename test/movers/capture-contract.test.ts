import { describeMover } from "@stampyard/testing";
import { afterAll, beforeAll } from "vitest";
import { captureBed } from "./capture-bed.ts";
import { type Cluster, startCluster } from "./cluster.ts";

let clusters: readonly [Cluster, Cluster];
beforeAll(async () => {
  clusters = await Promise.all([startCluster(), startCluster()]);
});
afterAll(async () => {
  await Promise.all(clusters.map((cluster) => cluster[Symbol.asyncDispose]()));
});

describeMover("capture", () => captureBed(clusters));
