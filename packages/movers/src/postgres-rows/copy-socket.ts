import { Socket } from "node:net";

/** What a socket reads at once; most of what a server has ready by then. */
const readBytes = 128 * 1024;

const inPlace = new WeakSet<(bytes: Buffer) => void>();

/**
 * Says of a listener to `data` that it keeps no bytes after it has returned, or takes care that nothing more is read until
 * then. It then gets them where they were read.
 */
export function readsInPlace<T extends (bytes: Buffer) => void>(listener: T): T {
  inPlace.add(listener);
  return listener;
}

/**
 * A socket that reads into one buffer. Where every read makes a buffer of its own, a copy of 100 MB has all memory of the
 * process searched for garbage every few hundred reads, which costs more than to move the bytes.
 */
export function openCopySocket(): Socket {
  const socket: Socket = new Socket({
    onread: {
      buffer: Buffer.allocUnsafeSlow(readBytes),
      callback(length, buffer) {
        const bytes = Buffer.from(buffer.buffer, buffer.byteOffset, length);
        for (const listener of socket.listeners("data") as ((bytes: Buffer) => void)[]) {
          listener.call(socket, inPlace.has(listener) ? bytes : Buffer.from(bytes));
        }
        return true;
      },
    },
  });
  return socket;
}
