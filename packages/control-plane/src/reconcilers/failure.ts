import { StampyardError } from "@stampyard/domain";
import type { Turn } from "./turn.ts";

/** Longest cause that a row keeps; the whole of it is in the log. */
const maxCause = 300;

/** The turn has lost its authority or its process: nothing may be recorded any more. */
export function isTurnOver(caught: unknown, turn: Turn): boolean {
  if (turn.signal.aborted) return true;
  return caught instanceof StampyardError && caught.code === "STALE_LEADER";
}

/**
 * For people: the first line of the message, and the mend; never a stack. Further lines may quote the log of an
 * application, which is nothing for a row or an answer (I33). What we did not expect is named, without what it held.
 */
export function causeOf(error: StampyardError): string {
  if (error.code === "INTERNAL") return "Unexpected failure, see the log of the control plane";
  const [message = ""] = error.message.split("\n");
  const text = error.mend === undefined ? message : `${message}. ${error.mend}`;
  return text.length > maxCause ? `${text.slice(0, maxCause)}…` : text;
}
