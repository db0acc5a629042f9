import { connect } from "node:net";
import { createInterface } from "node:readline";
import {
  type ErrorCode,
  errorStatus,
  type FencingToken,
  type Progress,
  type ProgressEvent,
  type StampObservation,
  StampyardError,
} from "@stampyard/domain";
import type { Goal } from "./goal.ts";

/** What a stamp host is asked, one request per connection, as one line of JSON over its private socket. */
export type HostRequest =
  | { readonly op: "status" }
  | { readonly op: "apply"; readonly token: FencingToken; readonly goal: Goal; readonly only?: string }
  | {
      readonly op: "run";
      readonly token: FencingToken;
      readonly goal: Goal;
      readonly job: string;
      readonly env: Readonly<Record<string, string>>;
    }
  | { readonly op: "stop"; readonly token: FencingToken };

/** May follow a request on its connection. A connection that just ends cancels nothing: the caller may have died. */
export interface CancelLine {
  readonly op: "cancel";
}

export type HostAnswer =
  | { readonly kind: "progress"; readonly event: ProgressEvent }
  | { readonly kind: "done"; readonly observation: StampObservation }
  | { readonly kind: "error"; readonly code: ErrorCode; readonly message: string; readonly mend?: string };

export interface AskOptions {
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

/** The host went away, or was not there: the caller may start one and ask again. */
export class HostGone extends Error {}

/** @throws HostGone, StampyardError of the host, or the signal's reason */
export function askHost(socketPath: string, request: HostRequest, options: AskOptions = {}): Promise<StampObservation> {
  return new Promise((settle, fail) => {
    const { signal } = options;
    if (signal?.aborted === true) {
      fail(signal.reason);
      return;
    }
    const socket = connect({ path: socketPath });
    const lines = createInterface({ input: socket, crlfDelay: Number.POSITIVE_INFINITY });
    const cancel = () => {
      socket.end(`${JSON.stringify({ op: "cancel" } satisfies CancelLine)}\n`);
      fail(signal?.reason);
    };
    const finish = () => {
      signal?.removeEventListener("abort", cancel);
      socket.destroy();
    };
    signal?.addEventListener("abort", cancel, { once: true });
    socket.once("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on("error", () => {});
    lines.on("error", () => {}); // The socket's error, passed on.
    socket.once("close", () => {
      signal?.removeEventListener("abort", cancel);
      fail(new HostGone("The stamp host is not there"));
    });
    lines.on("line", (line) => {
      const answer = JSON.parse(line) as HostAnswer;
      if (answer.kind === "progress") options.progress?.(answer.event);
      else if (answer.kind === "done") {
        settle(answer.observation);
        finish();
      } else {
        const code = answer.code in errorStatus ? answer.code : "INTERNAL";
        fail(new StampyardError(code, answer.message, answer.mend === undefined ? {} : { mend: answer.mend }));
        finish();
      }
    });
  });
}
