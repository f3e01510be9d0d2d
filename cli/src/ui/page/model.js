// What the fleet is, from what was read: no elements here.

/// What a cell can say, in the order in which it is counted. Each has a shape of its own (cells.js), so that colour is
/// never the only difference.
export const KINDS = [
  { kind: "fresh", label: "fresh", means: "has metrics, and the newest sample is in time" },
  { kind: "overdue", label: "overdue", means: "has metrics, and the next sample is late: over 1.5 resolutions" },
  { kind: "incomplete", label: "incomplete", means: "scrapes succeed, and no usage can be computed yet" },
  { kind: "unreported", label: "unreported", means: "no scraper has reported it" },
  { kind: "expired", label: "expired", means: "the newest sample is too old to be served" },
  { kind: "failing", label: "failing", means: "scrapes fail, and the newest sample is too old to be served" },
];

const OVERDUE = 1.5;
const BLINK = 60; // seconds for which a scraper that left is remembered

export function kindOf(state, age, resolution) {
  if (state === "served" || state === "late") {
    const is_old = resolution && age !== null && age > OVERDUE * resolution;
    return state === "late" || is_old ? "overdue" : "fresh";
  }
  return KINDS.some(({ kind }) => kind === state) ? state : "unreported";
}

/// How far through its resolution a fresh sample is: 0 to 3.
function shadeOf(age, resolution) {
  if (age === null || !resolution) return 0;
  return Math.min(3, Math.max(0, Math.floor((age / (OVERDUE * resolution)) * 4)));
}

/// Nodes as objects, from columns.
export function nodesOf({ texts, ...columns }) {
  return columns.name.map((name, index) => {
    const text = (column) => texts[columns[column][index]];
    const age = columns.age[index];
    const resolution = columns.resolution[index];
    const state = text("state");
    return {
      name, state, age, resolution,
      reason: text("reason"), remedy: text("remedy"),
      owner: text("owner"), standby: text("standby"), rescuer: text("rescuer"),
      kind: kindOf(state, age, resolution),
      shade: shadeOf(age, resolution),
    };
  });
}

/// Scrapers that are no longer connected, and who owned which node last. Bounded by the fleet.
export class Memory {
  constructor() {
    this.owners = new Map();
    this.seen = new Map();
  }

  /// Takes in what was read at `now` (seconds), and returns the scrapers that left.
  update(nodes, scrapers, now) {
    for (const { name } of scrapers) this.seen.set(name, now);
    for (const [name, at] of this.seen) if (now - at > BLINK) this.seen.delete(name);
    const owners = new Map();
    for (const node of nodes) {
      node.last = node.owner || this.owners.get(node.name) || "";
      owners.set(node.name, node.last);
    }
    this.owners = owners;
    const connected = new Set(scrapers.map(({ name }) => name));
    const left = [...this.seen].filter(([name]) => !connected.has(name));
    return left.map(([name, at]) => ({ name, since: now - at }));
  }
}

/// Nodes by scraper or by kind: a list of groups with a title, in order.
export function groupsOf(nodes, { by, scrapers, left }) {
  const groups = new Map();
  const group = (key, title) => {
    if (!groups.has(key)) groups.set(key, { key, title, nodes: [], gone: undefined });
    return groups.get(key);
  };
  if (by === "kind") {
    for (const { kind, label } of KINDS) group(kind, label);
    for (const node of nodes) group(node.kind).nodes.push(node);
    return [...groups.values()].filter((it) => it.nodes.length > 0);
  }
  const gone = new Map(left.map(({ name, since }) => [name, since]));
  for (const { name } of [...scrapers].sort(byName)) group(name, name);
  for (const name of [...gone.keys()].sort()) group(name, name).gone = gone.get(name);
  const none = { key: "", title: "no scraper", nodes: [], gone: undefined };
  for (const node of nodes) {
    // A node stays with a scraper that has just left, until another one owns it.
    const key = node.owner || (gone.has(node.last) ? node.last : "");
    if (key === "") none.nodes.push(node);
    else group(key, key).nodes.push(node);
  }
  const all = [...groups.values()].filter((it) => it.nodes.length > 0 || it.gone !== undefined);
  all.sort((one, other) => natural(one.title, other.title));
  return none.nodes.length > 0 ? [...all, none] : all;
}

export const natural = (one, other) => one.localeCompare(other, "en", { numeric: true });
const byName = (one, other) => natural(one.name, other.name);

/// How many nodes are of each kind.
export function countsOf(nodes) {
  const counts = Object.fromEntries(KINDS.map(({ kind }) => [kind, 0]));
  for (const { kind } of nodes) counts[kind] += 1;
  return counts;
}

/// What names have in common at their beginning, up to a hyphen. What is left has some letters.
export function prefixOf(names) {
  const long = names.filter((name) => name.includes("-"));
  if (long.length < 2) return "";
  const [first, ...others] = long;
  const is_common = (end) => others.every((name) => name.startsWith(first.slice(0, end)));
  const is_enough = (end) => long.every((name) => name.length - end >= LEFT);
  const ends = [...first.matchAll(/-/g)].map(({ index }) => index + 1);
  return first.slice(0, ends.findLast((end) => is_common(end) && is_enough(end)) ?? 0);
}

const LEFT = 8;

export const shortened = (name, prefix) => (prefix && name.startsWith(prefix) ? `…${name.slice(prefix.length)}` : name);

/// How the ages of samples are spread, of nodes that have metrics.
export function spreadOf(nodes) {
  const ages = nodes.filter(({ kind, age }) => (kind === "fresh" || kind === "overdue") && age !== null).map(({ age }) => age);
  if (ages.length === 0) return undefined;
  ages.sort((one, other) => one - other);
  const rank = (percent) => ages[Math.max(0, Math.ceil((ages.length * percent) / 100) - 1)];
  return { p50: rank(50), p90: rank(90), max: rank(100) };
}

/// Milli-cores as kubectl writes them; from ten cores on in cores.
export function cpu(milli) {
  return milli < 10_000 ? `${milli}m` : `${(milli / 1000).toFixed(milli < 100_000 ? 1 : 0)} cores`;
}

/// Bytes in the unit that fits.
export function memory(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}
