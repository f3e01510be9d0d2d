// The fleet as a picture: one cell for each node, in groups. Small fleets get tiles with names, large ones small squares.

import { begun, fitted, mark, palette } from "./cells.js";
import { el, span } from "./elements.js";
import { prefixOf, shortened } from "./model.js";

const TILES = [[212, 50], [172, 42], [136, 36]].map(([width, height]) => ({ width, height, tile: true }));
const SQUARES = [34, 30, 26, 22, 19, 17, 15, 14, 13, 12, 11, 10, 9, 8, 7].map((size) => ({ width: size, height: size, tile: false }));
const TITLE = 30;
const BETWEEN = 16;
const COLUMNS = 8;

const gapOf = ({ width, tile }) => (tile ? 6 : width >= 17 ? 3 : width >= 11 ? 2 : 1);

/// The largest cells with which everything fits, and in how many columns the groups stand.
export function layout(sizes, width, height) {
  let last;
  for (const cell of [...TILES, ...SQUARES]) {
    for (let columns = 1; columns <= Math.min(COLUMNS, Math.max(1, sizes.length)); columns += 1) {
      const column = (width - BETWEEN * (columns - 1)) / columns;
      const gap = gapOf(cell);
      const in_row = Math.floor((column + gap) / (cell.width + gap));
      if (in_row < 1 || (columns > 1 && column < 150)) continue;
      let total = 0;
      for (let first = 0; first < sizes.length; first += columns) {
        const most = Math.max(...sizes.slice(first, first + columns));
        total += TITLE + Math.ceil(most / in_row) * (cell.height + gap) + BETWEEN;
      }
      const found = { cell, gap, columns, column, in_row, total };
      if (total <= height) return found;
      if (!last || total < last.total) last = found;
    }
  }
  return last;
}

export class Picture {
  constructor({ parent, cursor, tip, open }) {
    Object.assign(this, { parent, cursor, tip, open });
    this.groups = [];
    this.sections = new Map();
    this.at = undefined; // the name of the node under the cursor
    this.chosen = undefined; // the name of the node whose story is shown
    this.colours = palette();
    const redraw = () => { this.colours = palette(); this.draw(); };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new ResizeObserver(() => this.draw()).observe(parent);
    parent.addEventListener("keydown", (event) => this.key(event));
    parent.addEventListener("focus", () => { if (!this.at) this.move(0, 0); });
    parent.addEventListener("blur", () => { cursor.textContent = ""; });
    parent.addEventListener("mousemove", (event) => this.hover(event));
    parent.addEventListener("mouseleave", () => { tip.hidden = true; });
    parent.addEventListener("click", (event) => {
      const node = this.under(event);
      if (!node) return;
      this.at = node.name;
      open(node.name);
    });
  }

  /// Shows these groups; `faint` are kinds that are not looked for.
  show(groups, faint) {
    this.groups = groups;
    this.prefix = prefixOf(groups.map(({ title }) => title));
    this.faint = faint;
    this.draw();
  }

  choose(name) {
    this.chosen = name;
    if (name) this.at = name;
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.parent;
    if (width === 0 || this.groups.length === 0) {
      this.parent.replaceChildren();
      this.sections.clear();
      return;
    }
    this.plan = layout(this.groups.map(({ nodes }) => nodes.length), width - 8, height - 4);
    this.parent.style.setProperty("--columns", this.plan.columns);
    const kept = new Map();
    for (const group of this.groups) {
      const section = this.sections.get(group.key) ?? this.section(group.key);
      kept.set(group.key, section);
      section.group = group;
      this.title(section, group);
      this.paint(section);
    }
    this.sections = kept;
    const boxes = [...kept.values()].map(({ box }) => box);
    const is_same = boxes.length === this.parent.children.length && boxes.every((box, index) => box === this.parent.children[index]);
    if (!is_same) this.parent.replaceChildren(...boxes);
  }

  section(key) {
    const title = el("h3");
    const canvas = el("canvas", { "aria-hidden": "true" });
    return { key, title, canvas, box: el("div", { class: "group" }, title, canvas) };
  }

  title({ title, box }, { title: name, nodes, gone }) {
    const wrong = nodes.filter(({ kind }) => kind !== "fresh").length;
    const rescued = nodes.filter(({ rescuer }) => rescuer).length;
    const parts = [String(nodes.length)];
    if (gone !== undefined) parts.push("disconnected");
    if (wrong > 0) parts.push(`${wrong} not fresh`);
    if (rescued > 0) parts.push(`${rescued} rescued`);
    box.classList.toggle("gone", gone !== undefined);
    title.replaceChildren(el("span", { class: "name", title: name }, shortened(name, this.prefix)), el("span", { class: "muted" }, parts.join(" · ")));
  }

  paint(section) {
    const { cell, gap, column, in_row } = this.plan;
    const { nodes } = section.group;
    const { canvas } = section;
    const ratio = window.devicePixelRatio || 1;
    const height = Math.max(1, Math.ceil(nodes.length / in_row)) * (cell.height + gap);
    const [wide, high] = [Math.round(column * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
      canvas.style.width = `${column}px`;
      canvas.style.height = `${height}px`;
    }
    const to = canvas.getContext("2d");
    to.setTransform(ratio, 0, 0, ratio, 0, 0);
    to.clearRect(0, 0, column, height);
    nodes.forEach((node, index) => {
      const x = (index % in_row) * (cell.width + gap) + 1;
      const y = Math.floor(index / in_row) * (cell.height + gap) + 1;
      to.globalAlpha = this.faint?.(node) ? 0.13 : 1;
      if (cell.tile) this.tile(to, node, x, y, cell);
      else mark(to, this.colours, node, x, y, cell.width - 1);
      to.globalAlpha = 1;
      const is_chosen = node.name === this.chosen;
      if (is_chosen || (node.name === this.at && document.activeElement === this.parent)) {
        to.strokeStyle = is_chosen ? this.colours.accent : this.colours.ink;
        to.lineWidth = 2;
        to.strokeRect(x - 1, y - 1, cell.width + 1, cell.height + 1);
      }
    });
  }

  tile(to, node, x, y, { width, height }) {
    const { colours } = this;
    to.fillStyle = colours.panel;
    to.strokeStyle = node.kind === "fresh" ? colours.line : colours[node.kind];
    to.lineWidth = 1;
    to.beginPath();
    to.roundRect(x + 0.5, y + 0.5, width - 2, height - 2, 6);
    to.fill();
    to.stroke();
    mark(to, colours, node, x + 10, y + height / 2 - 8, 15);
    to.textBaseline = "middle";
    to.fillStyle = colours.ink;
    to.font = `500 12.5px ${colours.font}`;
    to.fillText(fitted(to, node.name, width - 44), x + 34, y + height / 2 - 7);
    to.fillStyle = colours.muted;
    to.font = `11px ${colours.font}`;
    const state = node.kind === "fresh" ? "" : `${node.kind}${node.reason ? `: ${node.reason}` : ""} · `;
    const rescue = node.rescuer ? " · rescued" : "";
    to.fillText(begun(to, `${state}${node.age === null ? "no sample" : `${span(node.age)} ago`}${rescue}`, width - 44), x + 34, y + height / 2 + 8);
  }

  /// The node at a place of the mouse.
  under({ target, clientX, clientY }) {
    const section = [...this.sections.values()].find(({ canvas }) => canvas === target);
    if (!section) return undefined;
    const { cell, gap, in_row } = this.plan;
    const { left, top } = target.getBoundingClientRect();
    const column = Math.floor((clientX - left) / (cell.width + gap));
    if (column >= in_row) return undefined;
    return section.group.nodes[Math.floor((clientY - top) / (cell.height + gap)) * in_row + column];
  }

  hover(event) {
    const node = this.under(event);
    this.parent.classList.toggle("pointing", node !== undefined);
    this.tip.hidden = node === undefined;
    if (!node) return;
    this.tip.replaceChildren(el("strong", {}, node.name), el("br"), said(node));
    const { offsetWidth, offsetHeight } = this.tip;
    const x = Math.min(event.clientX + 14, innerWidth - offsetWidth - 8);
    const y = event.clientY + 18 + offsetHeight > innerHeight ? event.clientY - offsetHeight - 10 : event.clientY + 18;
    this.tip.style.left = `${x}px`;
    this.tip.style.top = `${y}px`;
  }

  /// All nodes in the order in which they are shown, with their places.
  places() {
    const { in_row, columns } = this.plan;
    let above = 0;
    let rows = 0;
    return this.groups.flatMap(({ nodes }, group) => {
      const column = group % columns;
      if (column === 0) {
        above += rows;
        rows = 0;
      }
      rows = Math.max(rows, Math.ceil(nodes.length / in_row));
      const first = above;
      return nodes.map((node, index) => ({
        node, x: column * in_row + (index % in_row), y: first + Math.floor(index / in_row),
      }));
    });
  }

  key(event) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in steps) this.move(...steps[event.key]);
    else if (event.key === "Home" || event.key === "End") this.jump(event.key === "Home" ? 0 : -1);
    else if ((event.key === "Enter" || event.key === " ") && this.at) this.open(this.at);
    else return;
    event.preventDefault();
  }

  jump(index) {
    const place = this.places().at(index);
    if (place) this.set(place.node);
  }

  /// To the nearest node in that direction.
  move(right, down) {
    const places = this.places();
    const from = places.find(({ node }) => node.name === this.at);
    if (!from) {
      if (places.length > 0) this.set(places[0].node);
      return;
    }
    let [best, least] = [undefined, Infinity];
    for (const place of places) {
      const [x, y] = [place.x - from.x, place.y - from.y];
      const along = x * right + y * down;
      const aside = Math.abs(right ? y : x);
      if (along <= 0 || (right && aside > 0)) continue;
      const distance = along + aside * 2;
      if (distance < least) [best, least] = [place, distance];
    }
    const at = places.indexOf(from) + right;
    this.set((best ?? (right && places[at]) ?? from)?.node ?? from.node);
  }

  set(node) {
    this.at = node.name;
    this.cursor.textContent = `${node.name}: ${said(node)}`;
    this.draw();
  }
}

/// A node in a line.
export function said({ kind, reason, age, owner, rescuer }) {
  const parts = [reason ? `${kind} (${reason})` : kind];
  parts.push(age === null ? "no sample" : `scraped ${span(age)} ago`);
  if (owner) parts.push(`owner ${owner}`);
  if (rescuer) parts.push(`rescued by ${rescuer}`);
  return parts.join(" · ");
}
