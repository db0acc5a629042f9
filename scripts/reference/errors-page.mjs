import { errorStatus } from "@stampyard/domain";
import { refusals } from "@stampyard/router";
import { cell, code, opening, table } from "./markdown.mjs";

/** What each code means, in a few words; a code without a meaning stops the generator. */
const meanings = {
  INVALID_REQUEST: "The request is not what the endpoint takes; `problems` names each fault",
  INVALID_NAME: "A name, tenant key or hostname is not written as it must be",
  INVALID_MANIFEST: "`stamp.yaml` or `fleet.yaml` has faults; `problems` names each with its line",
  UNAUTHENTICATED: "There is no valid token",
  FORBIDDEN: "The token's role may not do this, or a file belongs to somebody else",
  NOT_FOUND: "There is no such path, file or thing",
  METHOD_NOT_ALLOWED: "The path is known, the method is not",
  TENANT_NOT_FOUND: "There is no such tenant",
  STAMP_NOT_FOUND: "There is no such stamp",
  POOL_NOT_FOUND: "There is no such pool",
  RELEASE_NOT_FOUND: "There is no such release",
  ALREADY_EXISTS: "The name is taken by something that differs",
  HOSTNAME_TAKEN: "Another tenant has this hostname",
  STALE_REVISION: "It was changed since it was read: read again, then repeat",
  WRONG_PHASE: "Its phase does not allow this now",
  DIVERGED: "A router's copy of the directory is not the past of this one",
  IDEMPOTENCY_MISMATCH: "The `Idempotency-Key` was used for another request",
  CONFIRMATION_REQUIRED: "It must be confirmed: `--yes`, or a person",
  PRECONDITION_REQUIRED: "`If-Match` is missing",
  PAYLOAD_TOO_LARGE: "The body or file is larger than allowed",
  STALE_LEADER: "This control plane led once and does no more",
  STAMP_NOT_EMPTY: "Tenants live on the stamp",
  POOL_FULL: "No stamp of the pool has room for this tenant, or the pool has all the stamps that it may have",
  STAMP_FAILED: "A stamp could not be made as it should be; the message says why",
  STAMP_UNREACHABLE: "The stamp does not answer",
  HOOK_FAILED: "A tenant hook of the template failed; it is called again",
  VERIFICATION_FAILED: "A new stamp did not serve the tenant that was to show that it works",
  CAPABILITY_MISSING: "An adopted stamp cannot do that yet; the mend names what adds it",
  NOT_ERASED: "Rows of a tenant that is to be gone are still there",
  MOVE_REFUSED: "A move's preflight found what stands in its way; `problems` names each with its mend",
  FROZEN: "A freeze stops it; the message names the freeze, its reason and its end",
  ROLLOUT_ABORTED: "A rollout that was waited for was taken back; the message says why",
  ROLLOUT_PAUSED: "A rollout that was waited for waits for a person; the message says what for",
  MOVE_ABORTED: "A move that was waited for was aborted: the tenant is where it was; the message says why",
  NOT_EQUAL: "Two copies of a tenant's rows differ; nothing was erased",
  RECOVERING: "The store was restored; placement and directory wait until the recovery is finished",
  NOT_LEADER: "Another control plane leads",
  CONTROL_PLANE_UNREACHABLE: "The command found no control plane that answers",
  UNEXPECTED_ANSWER: "The answer is not what the endpoint table says: another version, or another server",
  TIMEOUT: "It did not happen in time",
  BINARY_MISSING: "A server program was not found and could not be fetched",
  PORT_TAKEN: "Another program has the port",
  USER_WITHOUT_NAME: "The operating system knows no name for the user it runs as, and PostgreSQL needs one",
  DISK_FULL: "The disk is full",
  LOCKED: "Another command works on the same thing",
  CANCELLED: "It was cancelled, or not confirmed",
  CONFLICTING_CARRIERS: "Router: the request names two different tenants",
  URI_TOO_LONG: "Router: the request target is too long",
  EXPECTATION_FAILED: "Router: an `Expect` other than `100-continue`",
  MISDIRECTED: "Router: the host is not one of this connection's certificate",
  UPGRADE_REFUSED: "Router: an upgrade to something other than WebSocket 13",
  HEADERS_TOO_LARGE: "Router: too many or too large headers",
  BAD_UPSTREAM: "Router: the stamp's answer broke off or cannot be forwarded",
  ROUTE_REFUSED: "Router: the guard in the stamp refused the route; the same request will work later",
  OTHER_REGION: "Router: the tenant's home is in a region that this router does not serve",
  TENANT_HELD: "Router: the tenant moves, and its request waited as long as it may",
  TENANT_SUSPENDED: "Router: an operator stopped the tenant",
  RATE_LIMITED: "Router: the tenant is at its limit; `Retry-After` says when to come again",
  NOT_READY: "Router: it has no directory yet",
  HTTP_VERSION_NOT_SUPPORTED: "Router: neither HTTP/1.0 nor HTTP/1.1",
  LOOP_DETECTED: "Router: the request went through routers too often",
  INTERNAL: "A fault of Stampyard; the log has its cause",
};

/** Codes with their HTTP status, and the answers that a router gives by itself. */
export function errorsPage() {
  const silent = Object.keys(errorStatus).filter((name) => meanings[name] === undefined);
  const gone = Object.keys(meanings).filter((name) => errorStatus[name] === undefined);
  if (silent.length + gone.length > 0) {
    throw new Error(`scripts/reference/errors-page.mjs: no meaning for [${silent}], no such code [${gone}]`);
  }
  const codes = Object.entries(errorStatus).map(([name, status]) => [code(name), status, meanings[name]]);
  const answers = Object.entries(refusals).map(([reason, row]) => [
    code(reason),
    row.status,
    code(row.code),
    cell(row.title),
    row.retry === true ? "yes" : "",
  ]);
  const about =
    "Codes are part of the API: `code` in problem+json, and in brackets behind the message of a command. Messages may change.";
  return `${opening("Errors", about)}
${table(["code", "HTTP status", "means"], codes)}
## Answers of the router

A router answers by itself only in these cases. The body is problem+json with \`code\` and \`reason\`; no answer names a stamp.
\`route-refused\` shows the guard's own reason where there is one: see [the wire format](../../packages/guard/WIRE.md).

${table(["reason", "HTTP status", "code", "title", "Retry-After"], answers)}`;
}
