import { plainStyle, type Style, widthOf } from "./style.ts";

export type NodeState = "waiting" | "working" | "done" | "failed";

/** One line of what is being made, and the lines below it. */
export interface ProgressNode {
  readonly label: string;
  readonly state: NodeState;
  /** What it does now, or what it waits for. */
  readonly detail?: string;
  readonly children?: readonly ProgressNode[];
}

const frames = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/** The tree for a terminal, one entry per line, cut to its width. `turn` moves the spinner. */
export function treeLines(
  roots: readonly ProgressNode[],
  columns: number,
  turn = 0,
  style: Style = plainStyle,
): string[] {
  const lines: string[] = [];
  const draw = (node: ProgressNode, lead: string, follow: string) => {
    const text = node.detail === undefined ? node.label : `${node.label}  ${node.detail}`;
    const room = Math.max(8, columns - widthOf(lead) - 3);
    const cut = widthOf(text) > room ? `${text.slice(0, room - 1)}…` : text;
    const painted =
      node.detail === undefined ? cut : `${cut.slice(0, node.label.length)}${style.dim(cut.slice(node.label.length))}`;
    lines.push(`${lead}${mark(node.state, turn, style)} ${painted}`);
    const children = node.children ?? [];
    for (const [index, child] of children.entries()) {
      const last = index === children.length - 1;
      draw(child, `${follow}${last ? "└ " : "├ "}`, `${follow}${last ? "  " : "│ "}`);
    }
  };
  for (const root of roots) draw(root, "", "  ");
  return lines;
}

function mark(state: NodeState, turn: number, style: Style): string {
  switch (state) {
    case "waiting":
      return style.dim("·");
    case "working":
      return style.warn(frames[turn % frames.length] ?? "*");
    case "done":
      return style.good("✓");
    case "failed":
      return style.bad("✗");
  }
}

/** What changed between two looks, as lines to append where nothing can be redrawn. */
export function appendedLines(before: readonly ProgressNode[], after: readonly ProgressNode[]): string[] {
  const old = new Map(flatten(before));
  const roots = new Set(after.map((node) => node.label));
  return flatten(after).flatMap(([path, node]) => {
    const known = old.get(path);
    // Below the first level only the state counts: a log need not name every step of every component.
    const isSame = (known?.detail ?? "") === (node.detail ?? "") || !roots.has(path);
    if (known?.state === node.state && isSame) return [];
    // Where nothing happens yet there is nothing to tell.
    if (node.state === "waiting" && known === undefined && node.detail === undefined) return [];
    const detail = node.detail === undefined ? "" : ` (${node.detail})`;
    return [`${path}: ${node.state}${detail}`];
  });
}

function flatten(nodes: readonly ProgressNode[], prefix = ""): [string, ProgressNode][] {
  return nodes.flatMap((node) => {
    const path = prefix === "" ? node.label : `${prefix} / ${node.label}`;
    return [[path, node] as [string, ProgressNode], ...flatten(node.children ?? [], path)];
  });
}
