import { expect, test } from "vitest";
import { createStampPools } from "./stamp-pool.ts";

const endpoints = [1, 2, 3].map((port) => ({ host: "127.0.0.1", port }));

test("order() takes turns, and puts an endpoint that refused last for a second", () => {
  let now = 0;
  const pool = createStampPools(() => now).of("eu-1");
  const orders = () =>
    Array.from({ length: 3 }, () =>
      pool
        .order(endpoints)
        .map((one) => one.port)
        .join(""),
    );
  expect(orders().sort()).toEqual(["123", "231", "312"]);
  pool.avoid({ host: "127.0.0.1", port: 2 });
  expect(orders().sort()).toEqual(["132", "312", "312"]);
  now = 1_000;
  expect(orders().sort()).toEqual(["123", "231", "312"]);
});

test("of() keeps the connections of two stamps apart (I10)", () => {
  const pools = createStampPools(() => 0);
  const [one] = endpoints;
  if (one === undefined) throw new Error("no endpoint");
  expect(pools.of("eu-1").lane(one)).not.toBe(pools.of("eu-2").lane(one));
  expect(pools.of("eu-1").lane({ ...one })).toBe(pools.of("eu-1").lane(one));
  expect(pools.of("eu-1")).toBe(pools.of("eu-1"));
  pools.close();
});
