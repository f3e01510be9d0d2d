// Puts the page together: what is read, what is shown, keys.

import { follow, get } from "./data.js";
import { el, fill, number, span } from "./elements.js";
import { doctor } from "./findings.js";
import { figures, legend } from "./head.js";
import { Histories, Ring } from "./history.js";
import { countsOf, groupsOf, Memory, nodesOf, spreadOf } from "./model.js";
import { Picture } from "./picture.js";
import { overview } from "./side.js";
import { story } from "./story.js";
import { Top } from "./top.js";

const STALE = 3; // times the usual time between two reads
const SMALL = 500; // nodes up to which all pods are read also while they are not looked at
const POINTS = 90;

const at = (id) => document.getElementById(id);
const seconds = () => performance.now() / 1000;

const state = {
  view: undefined, nodes: [], left: [], counts: countsOf([]),
  number: 0, read_at: undefined, usual: 5, failure: undefined, lost: undefined,
  shown: "fleet", by: "scraper", only: undefined, search: "", chosen: undefined, explained: undefined,
  report: undefined,
};
const memory = new Memory();
const ages = new Histories(POINTS, 2);
const freshness = new Ring(POINTS);
const top = new Top(at("top"));
const picture = new Picture({ parent: at("picture"), cursor: at("cursor"), tip: at("tip"), open: choose });

// The token has done its work: it must not stay where it may be copied from.
history.replaceState(null, "", `${location.pathname}${location.hash}`);

function seenFleet({ number: of, age, failure, read }) {
  state.lost = undefined;
  state.failure = failure ?? undefined;
  const is_new = read && of !== state.number && !failure;
  if (age !== null) state.read_at = seconds() - age;
  state.number = of;
  performance.mark("fleet-read");
  if (is_new) take(read);
  show();
  if (is_new) performance.measure("fleet-shown", "fleet-read");
  if (is_new && state.chosen) explain();
}

function take(view) {
  const now = seconds();
  if (state.taken_at) state.usual = Math.min(60, Math.max(1, now - state.taken_at));
  state.taken_at = now;
  state.view = view;
  state.nodes = nodesOf(view.nodes);
  state.left = memory.update(state.nodes, view.scrapers, now);
  state.counts = countsOf(state.nodes);
  ages.add(now, state.nodes.filter(({ age }) => age !== null).map(({ name, age }) => [name, age]));
  state.spread = spreadOf(state.nodes);
  if (state.spread) freshness.push(now, state.spread.max);
  // For tests, and for people with the tools of a browser.
  document.documentElement.dataset.reads = String(Number(document.documentElement.dataset.reads ?? 0) + 1);
}

function isLookedFor({ name, kind, owner }) {
  const { only, search } = state;
  return (!only || kind === only) && (!search || name.includes(search) || owner === search);
}

function show() {
  banner();
  const { view, nodes, left, counts, shown } = state;
  for (const name of ["fleet", "top", "doctor"]) {
    at(name).hidden = name !== shown;
    document.querySelector(`[data-view="${name}"]`).setAttribute("aria-pressed", String(name === shown));
  }
  if (shown === "top") top.show();
  if (shown === "doctor") showDoctor();
  if (!view) return;
  const versions = new Set([...view.frontends, ...view.scrapers].map(({ version }) => version).filter(Boolean));
  at("versions").textContent = [versions.size > 0 && `${[...versions].sort().join(" and ")}`, view.kubernetes && `on Kubernetes ${view.kubernetes}`].filter(Boolean).join(" ");
  if (shown !== "fleet") return;
  const resolution = nodes.find((node) => node.resolution)?.resolution;
  figures(at("figures"), { view, nodes, counts, left, spread: state.spread, freshness: freshness.points(), resolution });
  legend(at("legend"), { counts, only: state.only, choose: (kind) => { state.only = kind; show(); } });
  grouping();
  const is_all = !state.only && !state.search;
  picture.show(groupsOf(nodes, { by: state.by, scrapers: view.scrapers, left }), is_all ? undefined : (node) => !isLookedFor(node));
  side();
}

function grouping() {
  const choices = [["scraper", "scraper"], ["kind", "state"]];
  fill(at("grouping"), choices.map(([by, text]) => el("button", {
    type: "button", "aria-pressed": String(state.by === by), data: { key: `by ${by}` },
    on: { click: () => { state.by = by; show(); } },
  }, text)));
}

function side() {
  const { view, nodes, left, chosen, search } = state;
  if (chosen) {
    const node = nodes.find(({ name }) => name === chosen);
    const group = node?.remedy && view.troubles.find(({ remedy }) => remedy === node.remedy);
    story(at("side"), {
      name: chosen, node, ...state.explained, trouble: group ? group.trouble : undefined, points: ages.points(chosen),
      close: () => choose(undefined),
    });
  } else if (search) {
    found();
  } else {
    overview(at("side"), { view, nodes, left, open: choose });
  }
}

const FOUND = 40;

function found() {
  const nodes = state.nodes.filter(isLookedFor);
  const rows = nodes.slice(0, FOUND).map(({ name, kind }) => el("li", {},
    el("button", { type: "button", class: "node", data: { key: `node ${name}` }, on: { click: () => choose(name) } }, name), " ", el("span", { class: `state ${kind}` }, kind)));
  fill(at("side"), el("section", {}, el("h2", {}, `${number(nodes.length)} found`), el("ul", { class: "found" }, rows),
    nodes.length > FOUND ? el("p", { class: "muted" }, `and ${number(nodes.length - FOUND)} more`) : ""));
}

/// Shows the story of a node; `undefined` closes it.
function choose(name) {
  state.chosen = name;
  state.explained = {};
  state.shown = "fleet";
  picture.choose(name);
  show();
  if (name) explain();
}

async function explain() {
  const name = state.chosen;
  let explained;
  try {
    explained = { explained: await get(`data/node?name=${encodeURIComponent(name)}`) };
  } catch (error) {
    explained = { failure: error.message };
  }
  // Another one may have been chosen meanwhile.
  if (state.chosen !== name) return;
  state.explained = explained;
  if (state.view) side();
}

function showDoctor() {
  const { report } = state;
  doctor(at("doctor"), { report: report?.read, failure: report?.failure, age: report ? report.age + seconds() - report.at : undefined });
}

function seenReport(answer) {
  state.report = { ...answer, at: seconds() };
  const many = answer.read?.findings.length ?? 0;
  at("found").hidden = many === 0;
  at("found").textContent = String(many);
  if (state.shown === "doctor") showDoctor();
}

let newest_top = 0;
function seenTop(answer) {
  top.add(answer, answer.number !== newest_top && !answer.failure);
  newest_top = answer.number;
  if (state.shown === "top") top.show();
}

/// Says how old everything is, and when that is more than it should be.
function banner() {
  const age = state.read_at === undefined ? undefined : seconds() - state.read_at;
  const is_old = age !== undefined && age > Math.max(10, STALE * state.usual);
  const why = state.lost ?? state.failure ?? (is_old ? "The Kubernetes API has not answered since." : undefined);
  const is_stale = why !== undefined;
  document.documentElement.classList.toggle("stale", is_stale);
  at("live").className = `live ${is_stale ? "bad" : ""}`;
  at("live").textContent = age === undefined ? "reading …" : `${is_stale ? "stale" : "live"} · ${span(age)} old`;
  at("banner").hidden = !is_stale;
  if (!is_stale) return;
  const what = age === undefined ? "Nothing could be read yet." : `Stale: this is what was read ${span(age)} ago.`;
  const [first, ...more] = why.split("\n");
  at("banner").title = why;
  at("banner").replaceChildren(el("strong", {}, what), " ", first, more.length > 0 ? ` (and ${more.length} more)` : "");
}

function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const search = at("search");
  if (event.key === "Escape") {
    if (state.chosen) choose(undefined);
    search.value = state.search = "";
    state.only = undefined;
    show();
    if (document.activeElement === search) at("picture").focus();
    return;
  }
  if (document.activeElement === search) return;
  const views = { 1: "fleet", 2: "top", 3: "doctor" };
  if (event.key in views) goTo(views[event.key]);
  else if (event.key === "/") {
    goTo("fleet");
    search.focus();
    event.preventDefault();
  }
}

function goTo(name) {
  state.shown = name;
  show();
}

document.addEventListener("keydown", keys);
for (const button of document.querySelectorAll("[data-view]")) button.addEventListener("click", () => goTo(button.dataset.view));
at("search").addEventListener("input", ({ target }) => {
  state.search = target.value.trim();
  if (state.search) state.chosen = undefined;
  show();
});
at("search").addEventListener("keydown", ({ key }) => {
  const [first] = state.nodes.filter(isLookedFor);
  if (key === "Enter" && first) choose(first.name);
});
setInterval(banner, 1000);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);

const lost = (error) => { state.lost = error.message; banner(); };
follow("data/fleet", { seen: seenFleet, lost });
follow("data/doctor", { seen: seenReport, lost: () => {} });
follow("data/top", { seen: seenTop, lost: () => {}, wanted: () => state.shown === "top" || (state.view && state.nodes.length <= SMALL) });
show();
