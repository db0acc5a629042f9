import type { DirectoryChange } from "@stampyard/directory";
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

    async directoryFeed({ query, peer, signal, cut, requestId, actor }) {
      const { incarnation, version, chain, router, admin } = query;
      const position = { incarnation, version, chain };
      const reader = { router, peer, admin, actor, requestId };
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
