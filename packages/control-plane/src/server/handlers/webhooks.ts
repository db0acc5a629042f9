import type { WebhookMessageView, WebhookView } from "@stampyard/api";
import { quote, StampyardError } from "@stampyard/domain";
import type { Webhook, WebhookMessage } from "../../store/port.ts";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { time } from "../views.ts";

type Names = Extract<keyof Handlers, `webhook${string}`>;

export function webhookHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store } = deps;
  return {
    webhookList: async () => ({ items: (await store.webhooks.list()).map(webhookView) }),
    async webhookAdd(call) {
      const { url, events } = call.body;
      const { webhook, secret } = await store.webhooks.add({ url, events }, writeContext(deps, call));
      return { ...webhookView(webhook), secret };
    },
    async webhookRemove(call) {
      await store.webhooks.remove(call.params.id, writeContext(deps, call));
      return undefined;
    },
    async webhookTest(call) {
      return { message: await store.webhooks.test(call.params.id, writeContext(deps, call)) };
    },
    async webhookMessages({ params }) {
      if (!(await store.webhooks.list()).some(({ id }) => id === params.id)) {
        throw new StampyardError("NOT_FOUND", `No webhook ${quote(params.id)}`, {
          mend: "See stampyard webhook list.",
        });
      }
      return { items: (await store.webhooks.messages(params.id)).map(messageView) };
    },
  };
}

function webhookView({ id, url, events, disabled, createdAt }: Webhook): WebhookView {
  const { search } = new URL(url);
  return {
    id,
    url: search === "" ? url : `${url.slice(0, url.indexOf("?"))}?…`,
    events: [...events],
    disabled,
    createdAt: time(createdAt),
  };
}

function messageView(message: WebhookMessage): WebhookMessageView {
  const { id, event, at, state, attempt, retryAt, outcome, body } = message;
  return {
    id,
    event,
    at: time(at),
    state,
    attempt,
    ...(state === "waiting" ? { retryAt: time(retryAt) } : {}),
    ...(outcome === undefined ? {} : { outcome }),
    body,
  };
}
