export type LogLevel = "info" | "warn" | "error";
/** The router's own log, apart from the access log. Fields hold no secrets. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/** JSON lines on stderr. */
export const stderrLog: Log = (level, message, fields) => {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
};
