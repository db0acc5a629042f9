/**
 * A byte stream that pulls from an iterable only when its reader has room: back-pressure reaches the source, and a
 * stream that nobody reads never starts. `onCancel` has to end what the iterable waits for, so that it can return.
 */
export function streamOf(bytes: AsyncIterable<Uint8Array>, onCancel: () => void): ReadableStream<Uint8Array> {
  let iterator: AsyncIterator<Uint8Array> | undefined;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        iterator ??= bytes[Symbol.asyncIterator]();
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      async cancel() {
        onCancel();
        await iterator?.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

const encoder = new TextEncoder();

export async function* encodeLines(lines: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  for await (const line of lines) yield encoder.encode(`${line}\n`);
}

/** Server-sent events; `undefined` becomes a comment, which keeps the connection known to be alive. */
export async function* encodeEvents(events: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    // Subscribed before the client hears that it is connected, so that nothing after that is missed.
    let next = iterator.next();
    yield encoder.encode(": connected\n\n");
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      yield encoder.encode(value === undefined ? ": alive\n\n" : `data: ${JSON.stringify(value)}\n\n`);
      next = iterator.next();
    }
  } finally {
    await iterator.return?.();
  }
}
