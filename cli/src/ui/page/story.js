// One node: what `explain node` knows of it, and how old its samples were while the page was open.

import { palette } from "./cells.js";
import { el, fill, span } from "./elements.js";
import { card } from "./findings.js";
import { sparkline } from "./history.js";

/// Shows it. `explained` is there later than the node; `failure` if it could not be read.
export function story(parent, { name, node, explained, failure, trouble, points, close }) {
  const back = el("button", { type: "button", class: "back", data: { key: "back" }, "aria-keyshortcuts": "Escape", on: { click: close } }, "← all scrapers");
  const title = el("h2", { class: "nodename" }, name);
  const state = node ? el("p", {}, el("span", { class: `state ${node.kind}` }, node.kind), " ", el("span", { class: "muted" }, node.age === null ? "no sample" : `scraped ${span(node.age)} ago`)) : el("p", { class: "muted" }, "This node is not in the fleet.");
  const canvas = el("canvas", { "aria-hidden": "true" });
  const colours = palette();
  if (points.length > 1) {
    const lines = node?.resolution ? [node.resolution] : [];
    sparkline(canvas, points, { width: 320, height: 44, colour: colours.accent, faint: colours.muted, lines });
  }
  const picture = points.length > 1 ? el("figure", {}, canvas, el("figcaption", { class: "muted" }, "age of its newest sample while this page was open; the dotted line is one resolution")) : "";
  fill(parent, back, title, state, picture, facts(explained, failure), trouble ? el("section", { class: "trouble" }, card(trouble, { brief: true })) : "");
}

function facts(explained, failure) {
  if (failure) return el("p", { class: "evidence" }, failure);
  if (!explained) return el("p", { class: "muted" }, "reading …");
  const rows = Object.entries(explained).filter(([key]) => key !== "title" && key !== "outcome");
  return el("dl", {}, rows.map(([key, lines]) => [el("dt", {}, key), lines.map((line) => el("dd", {}, line))]));
}
