/** Every code that may cross a package boundary or the wire, with the HTTP status it becomes. Codes are API. */
export const errorStatus = {
  INVALID_REQUEST: 400,
  INVALID_NAME: 400,
  INVALID_MANIFEST: 422,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  METHOD_NOT_ALLOWED: 405,
  TENANT_NOT_FOUND: 404,
  STAMP_NOT_FOUND: 404,
  POOL_NOT_FOUND: 404,
  RELEASE_NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  HOSTNAME_TAKEN: 409,
  STALE_REVISION: 409,
  WRONG_PHASE: 409,
  DIVERGED: 409,
  IDEMPOTENCY_MISMATCH: 422,
  CONFIRMATION_REQUIRED: 428,
  PRECONDITION_REQUIRED: 428,
  PAYLOAD_TOO_LARGE: 413,
  STALE_LEADER: 409,
  STAMP_NOT_EMPTY: 409,
  POOL_FULL: 507,
  STAMP_FAILED: 502,
  STAMP_UNREACHABLE: 503,
  HOOK_FAILED: 502,
  /** A new stamp did not serve the tenant that was to show that it works. */
  VERIFICATION_FAILED: 502,
  /** An adopted stamp cannot do that, or not yet (decision D18). */
  CAPABILITY_MISSING: 409,
  /** Rows of a tenant that is to be gone are still there. */
  NOT_ERASED: 409,
  /** A preflight found what stands in a move's way; `problems` names each. */
  MOVE_REFUSED: 409,
  /** Client side: a move that was waited for ended where it began. */
  MOVE_ABORTED: 409,
  /** A freeze stops it; the message names which, and until when. */
  FROZEN: 423,
  /** Client side: a rollout that was waited for went back, or waits for a person. */
  ROLLOUT_ABORTED: 409,
  ROLLOUT_PAUSED: 409,
  /** Two copies of a tenant's rows differ. */
  NOT_EQUAL: 409,
  RECOVERING: 503,
  NOT_LEADER: 503,
  /** Client side: no connection came about. */
  CONTROL_PLANE_UNREACHABLE: 503,
  /** Client side: the answer is not what the endpoint table says. */
  UNEXPECTED_ANSWER: 502,
  TIMEOUT: 504,
  BINARY_MISSING: 500,
  PORT_TAKEN: 500,
  /** The operating system knows no name for the user that we run as. */
  USER_WITHOUT_NAME: 500,
  DISK_FULL: 507,
  LOCKED: 409,
  CANCELLED: 499,
  /** Answers that only a router gives. */
  CONFLICTING_CARRIERS: 400,
  URI_TOO_LONG: 414,
  EXPECTATION_FAILED: 417,
  MISDIRECTED: 421,
  UPGRADE_REFUSED: 426,
  HEADERS_TOO_LARGE: 431,
  BAD_UPSTREAM: 502,
  ROUTE_REFUSED: 503,
  /** The tenant's home is in a region that this router does not serve. */
  OTHER_REGION: 421,
  /** The tenant moves; its requests waited as long as they may. */
  TENANT_HELD: 503,
  /** An operator stopped the tenant. */
  TENANT_SUSPENDED: 403,
  RATE_LIMITED: 429,
  NOT_READY: 503,
  HTTP_VERSION_NOT_SUPPORTED: 505,
  LOOP_DETECTED: 508,
  INTERNAL: 500,
} as const;

export type ErrorCode = keyof typeof errorStatus;

/** One of several faults found together: in a manifest (file, line, column are 1-based) or in a request (path). */
export interface Problem {
  readonly message: string;
  readonly mend?: string;
  /** Where in the value, e.g. `pools[0].name`. */
  readonly path?: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
  /** The faulty line with a caret below it. */
  readonly excerpt?: string;
}

export interface ErrorDetails extends ErrorOptions {
  /** What to do about it: one imperative sentence, shown below the message. */
  readonly mend?: string;
  /** All faults at once, not the first. */
  readonly problems?: readonly Problem[];
}

/** The only error that crosses a package boundary. Messages: sentence case, no full stop, name the thing. */
export class StampyardError extends Error {
  override readonly name = "StampyardError";
  readonly code: ErrorCode;
  readonly mend: string | undefined;
  readonly problems: readonly Problem[];

  constructor(code: ErrorCode, message: string, details?: ErrorDetails) {
    super(message, details);
    this.code = code;
    this.mend = details?.mend;
    this.problems = details?.problems ?? [];
  }

  /** What we did not expect is INTERNAL, with its cause kept for the log and out of the response. */
  static from(caught: unknown): StampyardError {
    return caught instanceof StampyardError
      ? caught
      : new StampyardError("INTERNAL", "Unexpected failure", { cause: caught });
  }
}
