export { type ExitCode, exitCode } from "./exit-codes.ts";
export type { Io, Sink } from "./io.ts";
export { runProgram } from "./program.ts";
