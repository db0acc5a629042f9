import { type AccessLog, openAccessLog } from "./access-log.ts";
import type { RouterConfig } from "./config.ts";
import { createDataPlane, type DataPlane, type DataPlaneOptions } from "./data-plane.ts";
import type { Log } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createSpanExporter, type SpanExporter } from "./tracing/span-exporter.ts";

/** A data plane with what it writes to; one per process that serves. */
export interface OpenPlane {
  readonly plane: DataPlane;
  readonly metrics: Metrics;
  losses(): Losses;
  /** What SIGHUP asks for: the log's file was moved away, or certificates are new. */
  reopenLog(): void;
  /** After the plane is closed: writes out what waits. */
  closeLogs(): Promise<void>;
}

/** What was written about requests, and what was not. */
export interface Losses {
  readonly droppedLogLines: number;
  readonly sentSpans: number;
  readonly droppedSpans: number;
}

export interface PlanePorts {
  /** Wall time, milliseconds. @default Date.now */
  readonly now?: () => number;
  readonly timeouts?: DataPlaneOptions["timeouts"];
  readonly log?: Log;
}

function timeoutsOf(config: RouterConfig): DataPlaneOptions["timeouts"] {
  const { idleTimeoutMs = 60_000, answerTimeoutMs = 15_000, queueTimeoutMs = 5_000 } = config;
  return { connectMs: 1_000, idleMs: idleTimeoutMs, answerMs: answerTimeoutMs, queueMs: queueTimeoutMs };
}

/**
 * Opens a plane that has one of `shares` equal parts of all limits: the processes together stay within them (D17).
 * Limits of less than one per process become one.
 */
export function openPlane(config: RouterConfig, shares: number, ports: PlanePorts = {}): OpenPlane {
  const part = (total: number) => Math.max(1, Math.ceil(total / shares));
  const { maxInFlightPerStamp = 1_024, maxConnectionsPerStamp = maxInFlightPerStamp } = config;
  const metrics = createMetrics(config.tenantMetrics ?? 0);
  const file = config.accessLog === undefined ? undefined : openAccessLog(config.accessLog);
  const spans =
    config.tracing === undefined ? undefined : createSpanExporter(config.tracing, `${config.name}-${process.pid}`);
  const plane = createDataPlane({
    limits: {
      maxConnections: part(config.maxConnections ?? 10_000),
      maxConnectionsPerClient: part(config.maxConnectionsPerClient ?? 1_000),
    },
    timeouts: ports.timeouts ?? timeoutsOf(config),
    maxInFlightPerStamp: part(maxInFlightPerStamp),
    maxConnectionsPerStamp: part(maxConnectionsPerStamp),
    metrics,
    io: config.io,
    accessLog: bothOf(file, spans),
    now: ports.now ?? Date.now,
    regions: config.regions,
    redirect: config.redirect,
    shares,
    proxyPeers: config.proxyPeers,
    tls: config.tls,
    ...(ports.log === undefined ? {} : { log: ports.log }),
  });
  return {
    plane,
    metrics,
    losses: () => ({
      droppedLogLines: file?.dropped() ?? 0,
      sentSpans: spans?.counts().sent ?? 0,
      droppedSpans: spans?.counts().dropped ?? 0,
    }),
    reopenLog() {
      file?.reopen();
      void plane.reloadCertificates();
    },
    async closeLogs() {
      await Promise.all([file?.close(), spans?.close()]);
    },
  };
}

/** One log for the plane, whoever listens. */
function bothOf(file: AccessLog | undefined, spans: SpanExporter | undefined): AccessLog | undefined {
  if (spans === undefined) return file;
  return {
    write(entry) {
      file?.write(entry);
      spans.write(entry);
    },
    dropped: () => file?.dropped() ?? 0,
    reopen: () => file?.reopen(),
    async close() {
      await Promise.all([file?.close(), spans.close()]);
    },
  };
}
