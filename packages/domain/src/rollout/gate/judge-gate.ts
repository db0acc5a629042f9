import type { Evidence, GateCheck, GateReport, GateRule, GateVerdict } from "../evidence.ts";
import { compareRequests } from "./compare-requests.ts";
import { absoluteErrors, guardChecks } from "./guards.ts";

/**
 * Says whether a wave may go on. Guards judge every updated member by itself at every time; at a look, its requests are
 * compared with those of concurrent siblings. What is missing, late or too little is inconclusive, never good (I35).
 * Same rule and evidence, same report. A rule that is not enforced is judged all the same.
 */
export function judgeGate(rule: GateRule, evidence: Evidence): GateReport {
  const { checks: compared, judged, enoughInMs } = compareRequests(rule, evidence);
  const checks = [...guardChecks(rule, evidence), absoluteErrors(rule, evidence), ...compared];
  return {
    at: evidence.now,
    verdict: worstOf(checks),
    checks,
    tookLook: evidence.isLook && judged,
    ...(enoughInMs === undefined ? {} : { enoughInMs }),
  };
}

function worstOf(checks: readonly GateCheck[]): GateVerdict {
  const has = (verdict: GateVerdict) => checks.some((check) => check.verdict === verdict);
  if (has("abort")) return "abort";
  return has("inconclusive") || checks.length === 0 ? "inconclusive" : "go";
}
