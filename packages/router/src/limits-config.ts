/** How long a stamp may take, and how much of it there may be. Times in milliseconds. */
export interface LimitsConfig {
  /** From the whole request sent until the head of its answer is there. @default 15000 */
  readonly answerTimeoutMs?: number;
  /** Without a byte of a body in either direction. @default 60000 */
  readonly idleTimeoutMs?: number;
  /** How long a request may wait for a connection to its stamp. @default 5000 */
  readonly queueTimeoutMs?: number;
  /** To one stamp. @default 1024 */
  readonly maxInFlightPerStamp?: number;
  /** Connections to one stamp; requests above wait for one. @default maxInFlightPerStamp */
  readonly maxConnectionsPerStamp?: number;
}

const hourMs = 3_600_000;

/**
 * Reads `STAMPYARD_ROUTER_ANSWER_TIMEOUT_MS`, `STAMPYARD_ROUTER_IDLE_TIMEOUT_MS`, `STAMPYARD_ROUTER_QUEUE_TIMEOUT_MS`,
 * `STAMPYARD_ROUTER_MAX_IN_FLIGHT_PER_STAMP` and `STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_STAMP`.
 * @param number reads a whole number of the environment in its range
 */
export function readLimitsConfig(
  number: (key: string, least: number, most: number) => number | undefined,
): LimitsConfig {
  const read = {
    answerTimeoutMs: number("STAMPYARD_ROUTER_ANSWER_TIMEOUT_MS", 100, hourMs),
    idleTimeoutMs: number("STAMPYARD_ROUTER_IDLE_TIMEOUT_MS", 100, hourMs),
    queueTimeoutMs: number("STAMPYARD_ROUTER_QUEUE_TIMEOUT_MS", 50, hourMs),
    maxInFlightPerStamp: number("STAMPYARD_ROUTER_MAX_IN_FLIGHT_PER_STAMP", 1, 1_000_000),
    maxConnectionsPerStamp: number("STAMPYARD_ROUTER_MAX_CONNECTIONS_PER_STAMP", 1, 1_000_000),
  };
  return Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined));
}
