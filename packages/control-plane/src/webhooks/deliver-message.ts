import type { WebhookMessage } from "../store/port.ts";
import { signedHeaders } from "./sign-message.ts";

/** One attempt, from the first byte sent to the last byte of the answer that is waited for. */
const attemptMs = 15_000;

export type Delivered =
  | { readonly kind: "delivered"; readonly outcome: string }
  /** May go well another time, and not before `afterMs` from now where the receiver said so. */
  | { readonly kind: "failed"; readonly outcome: string; readonly afterMs?: number }
  /** The receiver wants no more, ever. */
  | { readonly kind: "gone"; readonly outcome: string };

/**
 * Posts a message once. Redirects are not followed: the signature is meant for whoever the operator named. Nothing of the
 * answer but its status is read, and nothing of the URL or the secret comes into the outcome.
 */
export async function deliverMessage(
  { message, url, secret }: { readonly message: WebhookMessage; readonly url: string; readonly secret: string },
  now: number,
  signal: AbortSignal,
): Promise<Delivered> {
  const late = AbortSignal.timeout(attemptMs);
  try {
    const answer = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": "stampyard",
        ...signedHeaders(message, secret, now),
      },
      body: message.body,
      redirect: "manual",
      signal: AbortSignal.any([signal, late]),
    });
    // It may be of any length.
    await answer.body?.cancel();
    return judge(answer.status, answer.headers.get("retry-after"));
  } catch (caught) {
    signal.throwIfAborted();
    if (late.aborted) return { kind: "failed", outcome: `No answer within ${attemptMs / 1_000} s` };
    return { kind: "failed", outcome: `Not reached${codeOf(caught)}` };
  }
}

function judge(status: number, retryAfter: string | null): Delivered {
  const outcome = `Answered ${status}`;
  if (status >= 200 && status < 300) return { kind: "delivered", outcome };
  if (status === 410) return { kind: "gone", outcome };
  if (status >= 300 && status < 400) return { kind: "failed", outcome: `${outcome}: redirects are not followed` };
  const seconds = /^[0-9]{1,5}$/.test(retryAfter ?? "") ? Number(retryAfter) : undefined;
  return { kind: "failed", outcome, ...(seconds === undefined ? {} : { afterMs: seconds * 1_000 }) };
}

/** E.g. `: ECONNREFUSED`; the text of the error may quote the URL. */
function codeOf(caught: unknown): string {
  const cause = caught instanceof Error ? caught.cause : undefined;
  return cause instanceof Error && "code" in cause ? `: ${String(cause.code)}` : "";
}
