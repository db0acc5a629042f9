import { StampyardError } from "@stampyard/domain";
import type { WebhookStore } from "./webhook-port.ts";

const notYet = () => Promise.reject(new StampyardError("INTERNAL", "Webhooks are not built yet"));

export function webhookStore(): WebhookStore {
  return {
    list: async () => [],
    add: notYet,
    remove: notYet,
    send: async () => 0,
    due: async () => [],
    settle: notYet,
    messages: async () => [],
    prune: async () => 0,
  };
}
