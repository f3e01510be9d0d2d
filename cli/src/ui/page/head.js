// The line of figures, and the legend.

import { mark, palette } from "./cells.js";
import { count, el, fill, number, span } from "./elements.js";
import { sparkline } from "./history.js";
import { KINDS } from "./model.js";

const DAY = 86_400;

/// The figures above the picture. `freshness` has the points of the median and of the maximum.
export function figures(parent, { view, nodes, counts, left, spread, freshness, resolution }) {
  const with_metrics = counts.fresh + counts.overdue;
  const missing = nodes.length - with_metrics;
  const colours = palette();
  const canvas = el("canvas", { "aria-hidden": "true" });
  sparkline(canvas, freshness, { width: 128, height: 34, colour: colours.fresh[0], faint: colours.muted, lines: resolution ? [resolution] : [] });
  const served = view.frontends.map(({ name, served: of, nodes: all, oldest }) => `${name}: ${of}/${all} nodes, oldest ${span(oldest)}`);
  const certificates = view.frontends.map(({ certificate }) => certificate).filter((left_seconds) => left_seconds !== null);
  const certificate = certificates.length > 0 ? Math.min(...certificates) : undefined;
  const down = view.apiServices.filter(({ available }) => available === false);
  fill(parent,
    figure("nodes with metrics", [el("b", {}, number(with_metrics)), el("span", { class: "muted" }, ` / ${number(nodes.length)}`)],
      missing > 0 ? `${number(missing)} without` : "all of them", missing > 0 ? "bad" : ""),
    figure("age of served samples", [el("b", {}, spread ? span(spread.p50) : "–"), el("span", { class: "muted" }, " median")],
      spread ? `90 %: ${span(spread.p90)} · oldest ${span(spread.max)}` : "no sample", "", canvas),
    figure("scrapers", [el("b", {}, number(view.scrapers.length))],
      left.length > 0 ? `${left[0].name} disconnected` : count(view.scrapers.reduce((sum, { rescued }) => sum + rescued, 0), "node") + " rescued", left.length > 0 ? "bad" : ""),
    figure("frontends", [el("b", {}, view.endpoints ? number(view.endpoints[0]) : number(view.frontends.length)), view.endpoints ? el("span", { class: "muted" }, ` / ${number(view.endpoints[1])} ready`) : ""],
      served[0] ?? "none answers", ""),
    figure("api", [el("b", {}, down.length > 0 ? "unavailable" : view.apiServices.length > 0 ? "available" : "not read")],
      down.length > 0 ? `${down[0].name}: ${down[0].reason}` : certificate === undefined ? count(view.apiServices.length, "APIService") : `certificate for ${span(certificate)}`,
      down.length > 0 || (certificate !== undefined && certificate < DAY) ? "bad" : ""));
}

function figure(title, value, note, mood, picture) {
  return el("div", { class: `figure ${mood}` },
    el("div", {}, el("h2", {}, title), el("p", { class: "value" }, value), el("p", { class: "note", title: note }, note)),
    picture);
}

/// The kinds with their numbers: buttons that show only one of them.
export function legend(parent, { counts, only, choose }) {
  const colours = palette();
  fill(parent, KINDS.map(({ kind, label, means }) => {
    const canvas = el("canvas", { width: 28, height: 28, "aria-hidden": "true" });
    const to = canvas.getContext("2d");
    to.scale(2, 2);
    mark(to, colours, { kind }, 1, 1, 12);
    return el("button", {
      type: "button", title: means, "aria-pressed": String(only === kind), disabled: counts[kind] === 0 && only !== kind,
      data: { key: `kind ${kind}`, kind }, on: { click: () => choose(only === kind ? undefined : kind) },
    }, canvas, el("span", {}, label), el("span", { class: "count" }, number(counts[kind])));
  }));
}
