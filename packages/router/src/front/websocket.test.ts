import { expect, test } from "vitest";
import { createFrameFollower, restartFrame } from "./websocket.ts";

function frame(length: number, opcode = 0x82, masked = false): Buffer {
  const mask = masked ? 0x80 : 0;
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  head[0] = opcode;
  if (length < 126) head[1] = mask | length;
  else if (length < 65_536) {
    head[1] = mask | 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = mask | 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  // A payload that looks like frames.
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0, 0x81), Buffer.alloc(length, 0x81)]);
}

test("a frame follower knows the ends of frames, however they are cut", () => {
  const frames = [
    frame(0),
    frame(1),
    frame(125, 0x01),
    frame(126, 0x80),
    frame(70_000),
    frame(5, 0x82, true),
    frame(300, 0x82, true),
    frame(0),
  ];
  const bytes = Buffer.concat(frames);
  const ends: number[] = [];
  let sum = 0;
  for (const one of frames) {
    sum += one.length;
    ends.push(sum);
  }
  for (const step of [1, 2, 3, 7, 1_000, bytes.length]) {
    const follower = createFrameFollower();
    expect(follower.between()).toBe(true);
    const found: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, Math.min(at + step, bytes.length));
      const end = follower.followToEnd(part);
      if (end >= 0) found.push(at + end);
      at += end < 0 ? part.length : end;
      expect(follower.between(), `${at}`).toBe(ends.includes(at));
    }
    expect(found, `step ${step}`).toEqual(ends);
    expect(follower.closed()).toBe(false);
  }
});

test("a frame follower sees the stamp's own close, and ours is one frame", () => {
  const follower = createFrameFollower();
  follower.follow(frame(3));
  expect(follower.closed()).toBe(false);
  expect(follower.followToEnd(restartFrame())).toBe(4);
  expect(follower.closed()).toBe(true);
  expect(restartFrame().readUInt16BE(2)).toBe(1012);
});
