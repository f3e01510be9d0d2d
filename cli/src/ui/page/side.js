// Beside the picture: who scrapes what, and what is wrong with nodes without metrics.

import { count, el, fill, number, span } from "./elements.js";
import { card } from "./findings.js";
import { natural, prefixOf, shortened } from "./model.js";

export function overview(parent, { view, nodes, left, open }) {
  fill(parent, wrong(view), scrapers(view, left), view.troubles.map((trouble) => group(trouble, nodes, open)), unread(view));
}

function scrapers({ scrapers: all }, left) {
  const most = Math.max(1, ...all.map(({ owned }) => owned));
  const prefix = prefixOf([...all, ...left].map(({ name }) => name));
  const sorted = [...all].sort((one, other) => natural(one.name, other.name));
  const rows = sorted.map(({ name, group: of, owned, standby, rescued, unserved, oldest, version, resolution }) =>
    el("tr", { title: [name, version && `version ${version}`, of && `group ${of}`, resolution && `every ${resolution}`].filter(Boolean).join(", ") },
      el("th", { scope: "row" }, shortened(name, prefix), of ? el("small", { class: "muted" }, of) : ""),
      el("td", { class: "share" }, el("span", { class: "meter", style: { "--part": owned / most } }), number(owned)),
      el("td", {}, number(standby)), el("td", {}, rescued ? number(rescued) : "–"),
      el("td", { class: unserved ? "bad" : "" }, unserved ? number(unserved) : "–"), el("td", {}, span(oldest))));
  const gone = left.map(({ name, since }) => el("tr", { class: "gone" },
    el("th", { scope: "row" }, shortened(name, prefix)), el("td", { colspan: 5 }, `✕ disconnected, seen ${span(since)} ago`)));
  const head = ["scraper", "owns", "standby", "rescues", "without", "oldest"];
  return el("section", {}, el("h2", {}, "Who scrapes what"),
    all.length + left.length === 0
      ? el("p", { class: "muted" }, "No scraper is connected to the frontend that answers.")
      : el("table", {}, el("thead", {}, el("tr", {}, head.map((title) => el("th", { scope: "col" }, title)))), el("tbody", {}, rows, gone)));
}

const NAMED = 12;

function group({ state, reason, remedy, count: many, message, trouble }, nodes, open) {
  const names = nodes.filter((it) => it.state === state && it.reason === reason && it.remedy === remedy).slice(0, NAMED);
  const buttons = names.map(({ name }) => el("button", { type: "button", class: "node", data: { key: `node ${name}` }, on: { click: () => open(name) } }, name));
  const more = many > names.length ? el("span", { class: "muted" }, `and ${number(many - names.length)} more`) : "";
  return el("section", { class: "trouble" },
    el("h2", {}, `${count(many, "node")} ${state}${reason ? `: ${reason}` : ""}`),
    message ? el("p", { class: "evidence" }, message) : "",
    el("p", { class: "nodes" }, buttons, more),
    trouble ? el("details", { data: { key: `do ${state} ${reason} ${remedy}` } }, el("summary", {}, "What to do"), card(trouble, { brief: true })) : "");
}

function wrong({ wrong: lines }) {
  if (lines.length === 0) return "";
  return el("section", { class: "trouble" }, el("h2", {}, "Wrong"), lines.map((line) => el("p", { class: "evidence" }, line)));
}

function unread({ unread: lines }) {
  if (lines.length === 0) return "";
  return el("section", {}, el("h2", {}, "Not read"), lines.map((line) => el("p", { class: "evidence" }, line)));
}
