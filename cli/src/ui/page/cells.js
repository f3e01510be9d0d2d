// How one node is drawn.

/// The colours of the theme, from the style sheet.
export function palette() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    fresh: [0, 1, 2, 3].map((step) => colour(`fresh-${step}`)),
    overdue: colour("overdue"), failing: colour("failing"), expired: colour("expired"),
    incomplete: colour("incomplete"), unreported: colour("unreported"),
    panel: colour("panel"), ink: colour("ink"), muted: colour("muted"), accent: colour("accent"), line: colour("line"),
    font: style.fontFamily,
  };
}

const box = (to, x, y, size) => {
  to.beginPath();
  to.roundRect(x, y, size, size, Math.min(3, size * 0.2));
};

/// The mark of a kind in a square. Shapes differ, not only colours:
/// full, half, ring with a dot, ring, ring with a bar, full with a cross.
export function mark(to, colours, { kind, shade = 0, rescuer = "" }, x, y, size) {
  const colour = kind === "fresh" ? colours.fresh[shade] : colours[kind];
  const thick = Math.max(1, size / 9);
  to.fillStyle = colour;
  to.strokeStyle = colour;
  to.lineWidth = thick;
  if (kind === "fresh") {
    box(to, x, y, size);
    to.fill();
    if (rescuer) {
      to.fillStyle = colours.panel;
      to.beginPath();
      to.arc(x + size / 2, y + size / 2, Math.max(1.2, size / 6), 0, Math.PI * 2);
      to.fill();
    }
    return;
  }
  if (kind === "failing") {
    box(to, x, y, size);
    to.fill();
    to.strokeStyle = colours.panel;
    cross(to, x, y, size, Math.max(1.2, size / 8));
    return;
  }
  box(to, x + thick / 2, y + thick / 2, size - thick);
  to.stroke();
  if (kind === "overdue") {
    to.beginPath();
    to.moveTo(x + thick / 2, y + thick);
    to.lineTo(x + size - thick / 2, y + size - thick / 2);
    to.lineTo(x + thick / 2, y + size - thick / 2);
    to.closePath();
    to.fill();
  } else if (kind === "incomplete") {
    to.beginPath();
    to.arc(x + size / 2, y + size / 2, Math.max(1, size / 6), 0, Math.PI * 2);
    to.fill();
  } else if (kind === "expired") {
    to.fillRect(x + size * 0.2, y + size / 2 - thick / 2, size * 0.6, thick);
  }
}

function cross(to, x, y, size, thick) {
  const inset = size * 0.27;
  to.lineWidth = thick;
  to.lineCap = "round";
  to.beginPath();
  to.moveTo(x + inset, y + inset);
  to.lineTo(x + size - inset, y + size - inset);
  to.moveTo(x + size - inset, y + inset);
  to.lineTo(x + inset, y + size - inset);
  to.stroke();
  to.lineCap = "butt";
}

/// The beginning of a text, as much as fits.
export function begun(to, text, width) {
  let shown = text;
  while (shown.length > 1 && to.measureText(shown).width > width) shown = `${shown.slice(0, -2)}…`;
  return shown;
}

/// The end of a name, as much as fits.
export function fitted(to, text, width) {
  if (to.measureText(text).width <= width) return text;
  let [least, most] = [0, text.length];
  while (least < most) {
    const middle = Math.ceil((least + most) / 2);
    // The end of a name differs more often than its beginning.
    if (to.measureText(`…${text.slice(text.length - middle)}`).width <= width) least = middle;
    else most = middle - 1;
  }
  return `…${text.slice(text.length - least)}`;
}
