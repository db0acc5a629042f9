import type { FeedMessage, FeedPosition } from "./feed.ts";
import {
  arrayOf,
  changeOf,
  integerOf,
  isRecord,
  nameOf,
  type Reading,
  reading,
  recordOf,
  tenantOf,
  textOf,
  UnknownKind,
  Unreadable,
} from "./read-change.ts";

const chainText = /^[0-9a-f]{64}$/;
const kidText = /^[A-Za-z0-9_-]{1,32}$/;
const secretText = /^[A-Za-z0-9_-]{43}$/;
const messageKindText = /^[a-z][a-z0-9-]{0,63}$/;
const positionFields = ["incarnation", "version", "chain"];

/** Most changes in one `snapshot-part`. */
export const maxPartChanges = 5_000;
const maxKeys = 8;

/** Reads one feed message as it came from JSON; used for the feed and for the disk alike. */
export function readFeedMessage(value: unknown): Reading<FeedMessage> {
  return reading(() => messageOf(value));
}

/** Reads a position, e.g. from a file header. */
export function readPosition(value: unknown): Reading<FeedPosition> {
  return reading(() => positionOf(isRecord(value) ? value : {}, "position"));
}

function messageOf(value: unknown): FeedMessage {
  const kind = isRecord(value) ? value["kind"] : undefined;
  switch (kind) {
    case "hello": {
      const fields = recordOf(value, ["kind", "mode", "heartbeatMs", ...positionFields], kind);
      const mode = fields["mode"];
      if (mode !== "normal" && mode !== "recovering") throw new Unreadable("hello.mode is not normal or recovering");
      const heartbeatMs = integerOf(fields["heartbeatMs"], 10, "hello.heartbeatMs");
      if (heartbeatMs > 600_000) throw new Unreadable("hello.heartbeatMs is above ten minutes");
      return { kind, mode, heartbeatMs, ...positionOf(fields, kind) };
    }
    case "keys": {
      const fields = recordOf(value, ["kind", "stamp", "keys"], kind);
      const keys = arrayOf(fields["keys"], maxKeys, "keys.keys").map((key) => {
        const parts = recordOf(key, ["kid", "secret"], "keys.keys[]");
        return {
          kid: textOf(parts["kid"], kidText, "keys.kid"),
          secret: textOf(parts["secret"], secretText, "keys.secret"),
        };
      });
      return { kind, stamp: nameOf(fields["stamp"], "keys.stamp"), keys };
    }
    case "hold": {
      const fields = recordOf(value, ["kind", "tenant", "moveId", "ttlMs"], kind);
      const ttlMs = integerOf(fields["ttlMs"], 1, "hold.ttlMs");
      if (ttlMs > 60_000) throw new Unreadable("hold.ttlMs is above a minute");
      return { kind, tenant: tenantOf(fields["tenant"], "hold.tenant"), moveId: moveIdOf(fields, kind), ttlMs };
    }
    case "release": {
      const fields = recordOf(value, ["kind", "tenant", "moveId"], kind);
      return { kind, tenant: tenantOf(fields["tenant"], "release.tenant"), moveId: moveIdOf(fields, kind) };
    }
    case "snapshot-begin": {
      const fields = recordOf(value, ["kind", "entries", "shrinkConfirmed", ...positionFields], kind);
      const shrinkConfirmed = fields["shrinkConfirmed"];
      if (typeof shrinkConfirmed !== "boolean") throw new Unreadable(`${kind}.shrinkConfirmed is not true or false`);
      const entries = integerOf(fields["entries"], 0, `${kind}.entries`);
      return { kind, entries, shrinkConfirmed, ...positionOf(fields, kind) };
    }
    case "snapshot-part": {
      const fields = recordOf(value, ["kind", "changes"], kind);
      const changes = arrayOf(fields["changes"], maxPartChanges, `${kind}.changes`);
      const at = (index: number) => `${kind}.changes[${index}]`;
      return knownOr(undefined, () => ({ kind, changes: changes.map((change, index) => changeOf(change, at(index))) }));
    }
    case "snapshot-end": {
      const fields = recordOf(value, ["kind", "entries", ...positionFields], kind);
      return { kind, entries: integerOf(fields["entries"], 0, `${kind}.entries`), ...positionOf(fields, kind) };
    }
    case "delta": {
      const fields = recordOf(value, ["kind", "change", ...positionFields], kind);
      const position = positionOf(fields, kind);
      if (position.version < 1) throw new Unreadable("delta.version is 0");
      return knownOr(position, () => ({ kind, ...position, change: changeOf(fields["change"], "delta.change") }));
    }
    case "heartbeat":
      return { kind, ...positionOf(recordOf(value, ["kind", ...positionFields], kind), kind) };
    default:
      // Whatever must not be missed is a numbered change; any other message is an offer that may be left (FEED.md).
      if (typeof kind === "string" && messageKindText.test(kind)) return { kind: "unknown-message", name: kind };
      throw new Unreadable("kind is not a kind of feed message");
  }
}

/** A change of an unknown kind cannot be left out: everything after it is chained to it. */
function knownOr(position: FeedPosition | undefined, read: () => FeedMessage): FeedMessage {
  try {
    return read();
  } catch (caught) {
    if (!(caught instanceof UnknownKind)) throw caught;
    return { kind: "unknown-change", name: caught.kind, ...(position === undefined ? {} : { position }) };
  }
}

function moveIdOf(fields: Readonly<Record<string, unknown>>, at: string): string {
  return textOf(fields["moveId"], /^[A-Za-z0-9_-]{1,64}$/, `${at}.moveId`);
}

function positionOf(fields: Readonly<Record<string, unknown>>, at: string): FeedPosition {
  return {
    incarnation: integerOf(fields["incarnation"], 0, `${at}.incarnation`),
    version: integerOf(fields["version"], 0, `${at}.version`),
    chain: textOf(fields["chain"], chainText, `${at}.chain`),
  };
}
