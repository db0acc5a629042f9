export { type ExitCode, exitCode } from "./exit-codes.ts";
export type { Io, Sink } from "./io.ts";
export { buildProgram, runProgram } from "./program.ts";
