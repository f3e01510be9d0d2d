// Elements. Everything from the cluster becomes text: names there may be chosen by an attacker.

/// Makes an element. Options: `class`, `on` (listeners), `data`, `style` (properties); others are attributes.
export function el(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name === "style") for (const [key, part] of Object.entries(value)) made.style.setProperty(key, part);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/// Replaces what is in an element. Keeps the focus (by `data-key`), and waits while text in it is selected.
export function fill(parent, ...children) {
  const selection = document.getSelection();
  if (selection && !selection.isCollapsed && parent.contains(selection.anchorNode)) return;
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  const open = new Set([...parent.querySelectorAll("details[open][data-key]")].map((it) => it.dataset.key));
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  for (const details of parent.querySelectorAll("details[data-key]")) {
    if (open.has(details.dataset.key)) details.open = true;
  }
  if (focused === undefined) return;
  for (const candidate of parent.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === focused) candidate.focus({ preventScroll: true });
  }
}

/// A command with a button that copies it.
export function command(text) {
  const button = el("button", {
    type: "button", class: "copy", "aria-label": `Copy: ${text}`, data: { key: `copy ${text}` },
    on: { click: () => copy(text, button) },
  }, "copy");
  return el("div", { class: "command" }, el("code", {}, text), button);
}

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "copied";
  } catch {
    button.textContent = "select it";
  }
  setTimeout(() => { button.textContent = "copy"; }, 1500);
}

/// `4s`, `3m12s`, `71d`, as kubectl writes ages.
export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 120) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (whole < 600) return whole % 60 ? `${minutes}m${whole % 60}s` : `${minutes}m`;
  if (whole < 10_800) return `${minutes}m`;
  if (whole < 172_800) return `${Math.floor(whole / 3600)}h`;
  return `${Math.floor(whole / 86_400)}d`;
}

/// `5,000`.
export function number(value) {
  return value.toLocaleString("en-US");
}

/// `1 node`, `2 nodes`.
export function count(value, thing) {
  return `${number(value)} ${thing}${value === 1 ? "" : "s"}`;
}
