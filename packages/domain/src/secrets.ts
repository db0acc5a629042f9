import type { Random } from "./ports.ts";
import { componentsOf, type RenderedStamp } from "./rendered.ts";

/** The secrets a stamp needs, by name. Each stamp has its own; none is ever shared or shown. */
export function secretNames(stamp: Pick<RenderedStamp, "stages">): readonly string[] {
  return componentsOf(stamp).flatMap((component) => {
    switch (component.kind) {
      // Three roles from the first day (decision D4), and the superuser that made them.
      case "postgres":
        return ["superPassword", "ownerPassword", "appPassword", "moverPassword"].map((s) => `${component.name}.${s}`);
      case "redis":
      case "nats":
        return [`${component.name}.password`];
      default:
        return [];
    }
  });
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** 32 characters of 64 letters = 192 bits; safe unescaped in URLs, shells and configuration files. */
export function makeSecret(random: Random): string {
  let text = "";
  for (const byte of random.bytes(32)) text += alphabet[byte & 63];
  return text;
}
