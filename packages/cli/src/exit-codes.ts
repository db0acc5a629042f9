/** Every exit code of `stampyard`, in one place. Scripts depend on them; help prints this table. */
export const exitCode = {
  ok: 0,
  error: 1,
  changes: 2,
  notReady: 3,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

const meaning: readonly { readonly code: ExitCode; readonly means: string }[] = [
  { code: exitCode.ok, means: "done, or nothing to do" },
  { code: exitCode.error, means: "an error; nothing more was changed than the message says" },
  { code: exitCode.changes, means: "plan, stamp diff: there are changes" },
  {
    code: exitCode.notReady,
    means: "accepted, but not ready in time, or it waits for a person; run the same command again to go on waiting",
  },
  { code: exitCode.interrupted, means: "ended by Ctrl-C; the work goes on or can be resumed" },
  { code: exitCode.terminated, means: "ended by SIGTERM" },
];

/** Help text for a command that may end with `codes`. */
export function exitCodeHelp(codes: readonly ExitCode[]): string {
  const lines = meaning
    .filter((row) => codes.includes(row.code))
    .map((row) => `  ${String(row.code).padEnd(4)}${row.means}`);
  return `Exit codes:\n${lines.join("\n")}`;
}

export const allExitCodes: readonly ExitCode[] = meaning.map((row) => row.code);
