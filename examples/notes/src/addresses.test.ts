import { expect, test } from "vitest";
import { cacheAddress } from "./cache.ts";
import { queueAddress } from "./wake-ups.ts";

test("cacheAddress() reads unix sockets and TCP addresses, passwords decoded", () => {
  expect(cacheAddress("unix:///run/a%20b/redis.sock?password=p%2Fw")).toEqual({
    path: "/run/a b/redis.sock",
    db: 0,
    password: "p/w",
  });
  expect(cacheAddress("redis://:p%40w@127.0.0.1:7001/2")).toEqual({
    host: "127.0.0.1",
    port: 7001,
    db: 2,
    password: "p@w",
  });
  expect(cacheAddress("rediss://me:pw@[::1]")).toEqual({
    host: "::1",
    port: 6379,
    db: 0,
    username: "me",
    password: "pw",
    tls: {},
  });
});

test("queueAddress() takes the credentials out of the address", () => {
  expect(queueAddress("nats://stamp:p%40w@127.0.0.1:4333")).toEqual({
    servers: "127.0.0.1:4333",
    user: "stamp",
    pass: "p@w",
  });
  expect(queueAddress("nats://token@localhost")).toEqual({ servers: "localhost:4222", token: "token" });
  expect(queueAddress("nats://localhost:4333")).toEqual({ servers: "localhost:4333" });
});

test("cacheAddress() and queueAddress() refuse other addresses without repeating them", () => {
  for (const wrong of ["", "sécret", "http://u:sécret@host/"]) {
    expect(() => cacheAddress(wrong)).toThrow(/^CACHE_URL [a-zURL :/,]+$/);
    expect(() => queueAddress(wrong)).toThrow(/^QUEUE_URL [a-zURL :/,]+$/);
  }
});
