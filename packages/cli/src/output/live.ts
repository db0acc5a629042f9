import type { Sink } from "../io.ts";
import { appendedLines, type ProgressNode, treeLines } from "./progress-tree.ts";
import type { Style } from "./style.ts";

/** Shows a tree as it grows. */
export interface LiveView extends Disposable {
  show(roots: readonly ProgressNode[]): void;
  /** A line that stays above the tree. */
  note(text: string): void;
}

/** Redraws in place on a terminal; appends a line per change elsewhere, so that a CI log tells the story once. */
export function liveView(sink: Sink, style: Style, elapsedMs: () => number): LiveView {
  return sink.isTTY ? redrawing(sink, style) : appending(sink, elapsedMs);
}

function redrawing(sink: Sink, style: Style): LiveView {
  let roots: readonly ProgressNode[] = [];
  let drawn = 0;
  let turn = 0;
  const clear = () => (drawn === 0 ? "" : `\u001b[${drawn}A\u001b[0J`);
  const draw = (above = "") => {
    const lines = treeLines(roots, sink.columns, turn, style);
    sink.write(`${clear()}${above}${lines.map((line) => `${line}\n`).join("")}`);
    drawn = lines.length;
  };
  const spin = setInterval(() => {
    turn++;
    if (roots.length > 0) draw();
  }, 100);
  spin.unref();
  return {
    show: (next) => {
      roots = next;
      draw();
    },
    note: (text) => draw(`${text}\n`),
    // What is drawn stays; whatever is noted later goes below it.
    [Symbol.dispose]: () => {
      clearInterval(spin);
      roots = [];
      drawn = 0;
    },
  };
}

function appending(sink: Sink, elapsedMs: () => number): LiveView {
  let shown: readonly ProgressNode[] = [];
  const line = (text: string) => sink.write(`[${(elapsedMs() / 1000).toFixed(1).padStart(5)}s] ${text}\n`);
  return {
    show: (next) => {
      for (const text of appendedLines(shown, next)) line(text);
      shown = next;
    },
    note: line,
    [Symbol.dispose]: () => undefined,
  };
}
