import type { Duplex } from "node:stream";
import type pg from "pg";
import { createCopyReader } from "./copy-messages.ts";
import { readsInPlace } from "./copy-socket.ts";

/** The driver's connection, as far as a COPY needs it. */
interface Wire {
  readonly stream: Duplex;
  query(sql: string): void;
  sendCopyFail(why: string): void;
}

/** What the driver calls of a statement that answers for itself. */
interface Statement {
  /** What it returns is an error that kept it from being sent. */
  submit(connection: pg.Connection): Error | undefined;
  handleCopyInResponse?(): void;
  handleCommandComplete(message: { readonly text?: string }): void;
  handleError(error: Error): void;
  handleReadyForQuery(): void;
}

/** One side of a copy: gives its connection a statement, in its turn. */
export interface CopySide {
  submit(statement: pg.Submittable): void;
}

export interface Copied {
  readonly rows: number;
  /** Of the rows as COPY writes them. */
  readonly bytes: number;
}

function later<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** CopyDone, with its length. */
const copyDone = Buffer.from([0x63, 0, 0, 0, 4]);

/**
 * Rows of `out` (`copy … to stdout`) on the source into `into` (`copy … from stdin`) on the target, both as SQL, in one
 * format. Messages pass from one socket to the other as they came, and no faster than the target takes them. When one
 * side fails, the other is told, or read to its end, so that both connections can be used again.
 *
 * @throws the error of the side that failed first
 */
export async function copyBetween(source: CopySide, out: string, target: CopySide, into: string): Promise<Copied> {
  const failures: unknown[] = [];
  const failed = (error: unknown) => {
    failures.push(error);
  };
  const tap = openTap(out, (messages) => sink.write(messages));
  const sink = openSink(into, tap.resume);
  const filled = sink.filled.catch(failed);
  target.submit(sink.statement);
  source.submit(tap.statement);
  const bytes = await tap.emptied.then(
    (count) => {
      sink.end();
      return count;
    },
    (error: unknown) => {
      failed(error);
      sink.fail("the source failed");
      return 0;
    },
  );
  const rows = await filled;
  // Its connection goes on with other statements, whatever became of this one: it may still stand paused for rows that
  // were on their way when it ended.
  tap.resume();
  if (failures.length > 0) throw failures[0];
  return { rows: rows ?? 0, bytes };
}

interface Sink {
  readonly statement: Statement;
  /** Rows that the target took. */
  readonly filled: Promise<number>;
  /** Takes whole messages; false when the source must wait until it is resumed, because they are not gone yet. */
  write(messages: Buffer): boolean;
  end(): void;
  fail(why: string): void;
}

function openSink(sql: string, resumeSource: () => void): Sink {
  const { promise: filled, resolve, reject } = later<number>();
  /** What to do once the target says that it listens. */
  let waiting: (() => void)[] | undefined = [];
  let wire: Wire | undefined;
  let isOver = false;
  let rows = 0;
  const whenOpen = (act: (open: Wire) => void) => {
    const run = () => {
      if (wire !== undefined && !isOver) act(wire);
    };
    if (waiting === undefined) run();
    else waiting.push(run);
  };
  const whenWritten = () => {
    if (wire?.stream.writableLength === 0) resumeSource();
  };
  const statement: Statement = {
    submit(connection) {
      wire = connection as unknown as Wire;
      wire.query(sql);
      return undefined;
    },
    handleCopyInResponse() {
      const acts = waiting ?? [];
      waiting = undefined;
      for (const act of acts) act();
      resumeSource();
    },
    handleCommandComplete({ text }) {
      rows = Number(/^COPY (\d+)$/.exec(text ?? "")?.[1] ?? 0);
    },
    handleError(error) {
      isOver = true;
      reject(error);
      // What the source still sends is read and dropped.
      resumeSource();
    },
    handleReadyForQuery: () => resolve(rows),
  };
  return {
    statement,
    filled,
    write(messages) {
      if (isOver) return true;
      if (wire === undefined || waiting !== undefined) {
        const kept = Buffer.from(messages);
        whenOpen(({ stream }) => void stream.write(kept));
        return false;
      }
      const { stream } = wire;
      stream.write(messages, whenWritten);
      // They lie where the source's next bytes will come.
      return stream.writableLength === 0;
    },
    end: () => whenOpen(({ stream }) => void stream.write(copyDone)),
    fail: (why) => whenOpen((open) => open.sendCopyFail(why)),
  };
}

interface Tap {
  readonly statement: Statement;
  /** Bytes of all rows, once the last has been passed on. */
  readonly emptied: Promise<number>;
  resume(): void;
}

/**
 * The driver takes each row apart. While rows come, its listener stands aside, and hears all that is not a row; what ends
 * them gives it its place back.
 */
function openTap(sql: string, passOn: Sink["write"]): Tap {
  const { promise: emptied, resolve, reject } = later<number>();
  let stream: Duplex | undefined;
  let total = 0;
  return {
    statement: {
      submit(connection) {
        const wire = connection as unknown as Wire;
        const { stream: from } = wire;
        const [driver] = from.listeners("data") as ((bytes: Buffer) => void)[];
        if (driver === undefined) return new TypeError("The driver does not listen to its connection");
        stream = from;
        const reader = createCopyReader({
          rows(messages, bytes) {
            total += bytes;
            if (!passOn(messages)) from.pause();
          },
          aside: (message) => driver(Buffer.from(message)),
          end(rest) {
            from.on("data", driver);
            from.off("data", reader.read);
            driver(rest);
          },
        });
        from.on("data", readsInPlace(reader.read));
        from.off("data", driver);
        wire.query(sql);
        return undefined;
      },
      handleCommandComplete() {},
      handleError: reject,
      handleReadyForQuery: () => resolve(total),
    },
    emptied,
    resume: () => stream?.resume(),
  };
}
