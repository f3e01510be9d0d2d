// Who uses most, with a short history that is kept here.

import { palette } from "./cells.js";
import { el, fill, number, span } from "./elements.js";
import { Histories, sparkline } from "./history.js";
import { cpu, memory } from "./model.js";

const POINTS = 60;
const ROUNDS = 20; // for which one that is no longer at the top is remembered
const ROWS = 25;

const AMOUNTS = { cpu: { title: "CPU", text: cpu }, memory: { title: "Memory", text: memory } };

export class Top {
  constructor(parent) {
    this.parent = parent;
    this.by = "cpu";
    this.histories = Object.fromEntries(["nodes", "pods"].flatMap((kind) => Object.keys(AMOUNTS).map((amount) => [`${kind} ${amount}`, new Histories(POINTS, ROUNDS)])));
  }

  /// Takes in an answer.
  add({ read, age, failure }, is_new) {
    this.failure = failure;
    this.age = age;
    if (!read) return;
    this.read = read;
    if (!is_new) return;
    const now = performance.now() / 1000;
    for (const kind of ["nodes", "pods"]) {
      for (const amount of Object.keys(AMOUNTS)) {
        const pairs = read[kind].most.map((one) => [one.name, one[amount]]);
        this.histories[`${kind} ${amount}`].add(now, [["", read[kind].total[amount]], ...pairs]);
      }
    }
  }

  show() {
    const { read, failure } = this;
    if (!read) {
      fill(this.parent, el("p", { class: failure ? "evidence" : "muted empty" }, failure ?? "reading all nodes and pods …"));
      return;
    }
    const choices = Object.entries(AMOUNTS).map(([amount, { title }]) => el("button", {
      type: "button", "aria-pressed": String(this.by === amount), data: { key: `by ${amount}` },
      on: { click: () => { this.by = amount; this.show(); } },
    }, title));
    fill(this.parent,
      el("div", { class: "top-head" }, el("div", { class: "switch", role: "group", "aria-label": "Sort by" }, choices),
        el("p", { class: "muted" }, `read ${span(this.age)} ago, from metrics.k8s.io; lines are what this page has seen`)),
      failure ? el("p", { class: "evidence" }, failure) : "",
      el("div", { class: "tables" }, this.table("nodes", "Nodes"), this.table("pods", "Pods")));
  }

  table(kind, title) {
    const { count, total, most } = this.read[kind];
    const { text } = AMOUNTS[this.by];
    const sorted = [...most].sort((one, other) => other[this.by] - one[this.by] || (one.name < other.name ? -1 : 1)).slice(0, ROWS);
    const highest = Math.max(1, sorted[0]?.[this.by] ?? 1);
    const other = this.by === "cpu" ? "memory" : "cpu";
    const rows = sorted.map((one, index) => el("tr", {},
      el("td", { class: "rank" }, index + 1),
      el("th", { scope: "row", title: one.name }, named(one.name)),
      el("td", { class: "line" }, this.line(kind, one.name)),
      el("td", { class: "share" }, el("span", { class: "meter", style: { "--part": one[this.by] / highest } }), text(one[this.by])),
      el("td", { class: "muted" }, AMOUNTS[other].text(one[other]))));
    return el("section", {},
      el("h2", {}, title, el("span", { class: "muted" }, ` ${number(sorted.length)} of ${number(count)} · all together ${cpu(total.cpu)}, ${memory(total.memory)}`)),
      el("table", { class: "top" }, el("thead", {}, el("tr", {}, ["", "name", "history", AMOUNTS[this.by].title, AMOUNTS[other].title].map((head) => el("th", { scope: "col" }, head)))), el("tbody", {}, rows)));
  }

  line(kind, name) {
    const canvas = el("canvas", { "aria-hidden": "true" });
    const colours = palette();
    sparkline(canvas, this.histories[`${kind} ${this.by}`].points(name), { width: 84, height: 20, colour: colours.accent, faint: colours.line });
    return canvas;
  }
}

/// A pod with its namespace less loud.
function named(name) {
  const at = name.indexOf("/");
  return at < 0 ? name : [el("span", { class: "muted" }, name.slice(0, at + 1)), name.slice(at + 1)];
}
