import { createHash } from "node:crypto";
import { acceptFeed, createDirectory, createFrameDecoder, feedStart, newFeedState } from "@stampyard/directory";
import type { TestServer } from "./test-server.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

/** A router at the end of the feed. */
export async function follow(server: TestServer, from = feedStart, router = "r1") {
  const ending = new AbortController();
  const query = new URLSearchParams({
    ...from,
    version: `${from.version}`,
    incarnation: `${from.incarnation}`,
    router,
  });
  const response = await fetch(`${server.url}/v1/directory/feed?${query}`, {
    headers: { authorization: `Bearer ${server.tokens.router}` },
    signal: ending.signal,
  });
  if (!response.ok) return { response, state: newFeedState(from) };
  const decoder = createFrameDecoder();
  const world = {
    state: newFeedState(from),
    directory: createDirectory(),
    keys: new Map<string, number>(),
    kinds: [] as string[],
  };
  const reading = (async () => {
    for await (const bytes of response.body ?? []) {
      for (const event of decoder.push(bytes)) {
        if (event.kind === "corrupt") throw new Error(event.reason);
        world.kinds.push(event.message.kind);
        const step = acceptFeed(world.state, event.message, world.directory, sha256);
        world.state = step.next;
        for (const effect of step.effects) {
          if (effect.kind === "apply") world.directory.apply(effect.change);
          if (effect.kind === "replace") world.directory = effect.directory;
          if (effect.kind === "keys") world.keys.set(effect.stamp, effect.keys.length);
        }
      }
    }
  })().catch(() => {});
  return {
    response,
    world,
    ack: () => server.clients.router.directoryAck({ body: { router, ...world.state.position } }),
    async end() {
      ending.abort();
      await reading;
    },
  };
}
