import type { RenderedStamp, StampSpec } from "@stampyard/domain";

/** Server programs on this machine, resolved before the host is asked to start them. */
export interface Programs {
  readonly postgres?: { readonly path: string; readonly template: string };
  readonly redis?: { readonly path: string; readonly libraries?: string };
  readonly nats?: { readonly path: string; readonly libraries?: string };
}

/** What a stamp host works towards: the specification with everything that only the caller could look up. */
export interface Goal {
  readonly rendered: RenderedStamp;
  readonly sourceDir: string;
  readonly secrets: Readonly<Record<string, string>>;
  readonly routeKeys: string;
  /** Secrets of external components, read from the caller's environment or files. */
  readonly externalSecrets: Readonly<Record<string, string>>;
  readonly programs: Programs;
}

export function goalOf(spec: StampSpec, programs: Programs, externalSecrets: Readonly<Record<string, string>>): Goal {
  const { rendered, sourceDir, secrets, routeKeys } = spec;
  return { rendered, sourceDir, secrets, routeKeys, programs, externalSecrets };
}

/** Everything in a goal that must never be shown. */
export function secretsOf(goal: Goal): readonly string[] {
  // Route keys are written `kid:secret,…`; a log may show one of them alone.
  const routeSecrets = goal.routeKeys.split(",").map((entry) => entry.slice(entry.indexOf(":") + 1));
  const values = [...Object.values(goal.secrets), ...Object.values(goal.externalSecrets), ...routeSecrets];
  return values.filter((value) => value.length >= 6);
}

/** Replaces secrets in a text that is going to be shown. */
export function redact(text: string, secrets: readonly string[]): string {
  let out = text;
  for (const secret of secrets) out = out.replaceAll(secret, "[secret]");
  return out;
}
