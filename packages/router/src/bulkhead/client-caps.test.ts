import fc from "fast-check";
import { expect, test } from "vitest";
import { clientOf, createClientCaps } from "./client-caps.ts";

const nobody = () => false;

test("enter() refuses a client's connections above its own limit, and not another client's (I13)", () => {
  const caps = createClientCaps({ total: 100, perClient: 2 }, nobody);
  expect([caps.enter("10.0.0.1"), caps.enter("10.0.0.1"), caps.enter("::ffff:10.0.0.1")]).toEqual([true, true, false]);
  expect(caps.enter("10.0.0.2")).toBe(true);
  caps.leave("10.0.0.1");
  expect(caps.enter("10.0.0.1")).toBe(true);
});

test("enter() keeps the last tenth for clients with few connections", () => {
  const caps = createClientCaps({ total: 100, perClient: 1_000 }, nobody);
  let greedy = 0;
  while (caps.enter("10.0.0.1")) greedy += 1;
  expect(greedy).toBe(90);
  let others = 0;
  for (let n = 0; n < 50; n++) if (caps.enter(`10.0.1.${n}`)) others += 1;
  expect(others).toBe(10);
});

test("a trusted balancer is bound by the total only", () => {
  const caps = createClientCaps({ total: 20, perClient: 2 }, (address) => address === "10.0.0.1");
  let taken = 0;
  while (caps.enter("10.0.0.1")) taken += 1;
  expect(taken).toBe(20);
});

test("clientOf() takes the /64 of IPv6, however it is written", () => {
  expect(clientOf("2001:db8:0:1::5")).toBe(clientOf("2001:0db8:0000:0001:ffff:1:2:3"));
  expect(clientOf("2001:db8:0:1::5")).not.toBe(clientOf("2001:db8:0:2::5"));
  expect(clientOf("::1")).toBe("0:0:0:0");
  expect(clientOf("fe80::1%eth0")).toBe("fe80:0:0:0");
  expect(clientOf("192.0.2.1")).toBe("192.0.2.1");
});

test("over any history: never above a limit, and empty when all have left", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(5)), { maxLength: 300 }), (steps) => {
      const caps = createClientCaps({ total: 12, perClient: 4 }, nobody);
      const held: string[] = [];
      for (const [come, who] of steps) {
        const address = `192.0.2.${who}`;
        if (come) {
          if (caps.enter(address)) held.push(address);
        } else {
          const at = held.indexOf(address);
          if (at >= 0) {
            held.splice(at, 1);
            caps.leave(address);
          }
        }
        expect(caps.size()).toBe(held.length);
        expect(held.length).toBeLessThanOrEqual(12);
        for (let n = 0; n <= 5; n++) {
          expect(held.filter((one) => one === `192.0.2.${n}`).length).toBeLessThanOrEqual(4);
        }
      }
      for (const address of held) caps.leave(address);
      expect(caps.size()).toBe(0);
    }),
  );
});
