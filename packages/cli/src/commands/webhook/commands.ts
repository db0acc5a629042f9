import type { WebhookMessageView, WebhookView } from "@stampyard/api";
import { command, confirmName, yesOption } from "../../define.ts";
import { age, table } from "../../output/table.ts";
import { namesOf } from "../rollout/start.ts";

export const webhookAdd = command<{ readonly events?: string }>({
  usage: "add <url>",
  summary: "Tell an address of what happens; the secret that messages are signed with is shown once",
  about:
    "Messages follow the Standard Webhooks specification: webhook-id, webhook-timestamp, webhook-signature. The secret alone goes to stdout, so that a redirect keeps it.",
  options: (c) => c.option("--events <names>", "which, e.g. rollout.paused,rollout.aborted (default: rollout.*)"),
  examples: [
    ["webhook add https://hooks.example.com/stampyard > ~/hook.secret", "everything that happens to rollouts"],
    ["webhook add https://pager.example.com/in --events rollout.paused,rollout.aborted", "what wants a person"],
  ],
  run: async (run) => {
    const { events } = run.options;
    const client = await run.client();
    const added = await client.webhookAdd({
      body: { url: run.args[0] ?? "", ...(events === undefined ? {} : { events: namesOf(events) }) },
      signal: run.io.signal,
    });
    run.emit(added, () => `${added.secret}\n`);
    run.say(`Webhook ${added.id} is told of ${added.events.join(", ")}. The secret is not shown again.`);
    run.say(`Try it: stampyard webhook test ${added.id}`);
  },
});

export const webhookList = command({
  usage: "list",
  summary: "List webhooks",
  examples: [["webhook list", "who is told of what"]],
  run: async (run) => {
    const client = await run.client();
    const { items } = await client.webhookList({ signal: run.io.signal });
    run.emit({ items }, () => webhookTable(items));
  },
});

function webhookTable(items: readonly WebhookView[]): string {
  if (items.length === 0) return "Nobody is told of anything\n";
  return table(
    ["webhook", "url", "events", "works", "since"],
    items.map((row) => [row.id, row.url, row.events.join(","), !row.disabled, row.createdAt]),
  );
}

export const webhookTest = command({
  usage: "test <webhook>",
  summary: "Send a test message to a webhook, signed like every other",
  examples: [["webhook test wh-0a1b2c3d4e", "then see how it was taken: webhook messages wh-0a1b2c3d4e"]],
  run: async (run) => {
    const id = run.args[0] ?? "";
    const client = await run.client();
    const sent = await client.webhookTest({ params: { id }, signal: run.io.signal });
    run.emit(sent, () => `A test message to ${id} is on its way\n`);
    run.say(`See how it was taken: stampyard webhook messages ${id}`);
  },
});

export const webhookRemove = command({
  usage: "remove <webhook>",
  summary: "Tell an address no more",
  options: yesOption,
  examples: [["webhook remove wh-0a1b2c3d4e --yes", "its secret is forgotten, too"]],
  run: async (run) => {
    const id = run.args[0] ?? "";
    await confirmName(run, `remove webhook ${id} with its secret`, id);
    const client = await run.client();
    await client.webhookRemove({ params: { id }, signal: run.io.signal });
    run.emit({ webhook: id }, () => `Webhook ${id} is removed\n`);
  },
});

export const webhookMessages = command({
  usage: "messages <webhook>",
  summary: "List what was sent to a webhook, the newest first, and how it was taken",
  examples: [["webhook messages wh-0a1b2c3d4e", "attempts, answers, and when the next try is"]],
  run: async (run) => {
    const client = await run.client();
    const { items } = await client.webhookMessages({ params: { id: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit({ items }, () => messageTable(items, Date.now()));
  },
});

function messageTable(items: readonly WebhookMessageView[], nowMs: number): string {
  if (items.length === 0) return "Nothing was sent yet\n";
  return table(
    ["message", "event", "state", "attempts", "age", "next try", "answer"],
    items.map((row) => [
      row.id,
      row.event,
      row.state,
      row.attempt,
      age(Date.parse(row.at), nowMs),
      row.retryAt,
      row.outcome,
    ]),
  );
}
