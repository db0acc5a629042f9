import { type DirectoryChange, entranceHeader } from "@stampyard/directory";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { openFeed } from "../feed.ts";
import { mapPage, pageOfList } from "../paging.ts";
import { routerView } from "../views.ts";

type Names = "routerList" | "directoryFeed" | "directoryAck" | "directoryReport" | "directoryConfirm";

export function directoryHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store } = deps;
  return {
    async routerList({ query }) {
      const [routers, head] = await Promise.all([store.routers.list(), store.directory.head()]);
      return mapPage(
        pageOfList(routers, (router) => router.name, query),
        (router) => routerView(router, head),
      );
    },

    async directoryFeed({ query, peer, headers, signal, cut, requestId, actor }) {
      const { incarnation, version, chain, router, admin } = query;
      const position = { incarnation, version, chain };
      const entrance = readEntrance(headers.get(entranceHeader));
      const reader = { router, peer, admin, entrance, actor, requestId };
      return openFeed(deps, reader, position, { signal, cut });
    },

    async directoryAck({ body }) {
      await store.routers.acknowledge(body);
      return undefined;
    },

    async directoryReport({ body }) {
      await store.recovery.saveRouterReport({ ...body, changes: body.changes as readonly DirectoryChange[] });
      return undefined;
    },

    async directoryConfirm(call) {
      const { batch, reason } = call.query;
      await store.directory.confirm(batch, writeContext(deps, call, reason));
      return undefined;
    },
  };
}

/** What is not an http address is as good as none: a router is not refused for it. */
function readEntrance(text: string | null): string | undefined {
  const url = text === null || text.length > 300 ? null : URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) ? url.origin : undefined;
}
