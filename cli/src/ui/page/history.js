// Short histories, of a fixed size, and their pictures.

/// The newest values of something, with their times.
export class Ring {
  constructor(size) {
    this.times = new Float64Array(size);
    this.values = new Float32Array(size);
    this.next = 0;
    this.length = 0;
  }

  push(time, value) {
    const size = this.values.length;
    this.times[this.next] = time;
    this.values[this.next] = value;
    this.next = (this.next + 1) % size;
    this.length = Math.min(this.length + 1, size);
  }

  /// Pairs of time and value, oldest first.
  points() {
    const size = this.values.length;
    const first = (this.next - this.length + size) % size;
    return Array.from({ length: this.length }, (_, index) => {
      const at = (first + index) % size;
      return [this.times[at], this.values[at]];
    });
  }
}

/// Histories by name. Those that were not seen for some rounds are dropped, so there are never more than the names of
/// that many rounds.
export class Histories {
  constructor(size, rounds) {
    this.size = size;
    this.rounds = rounds;
    this.round = 0;
    this.known = new Map();
  }

  /// One round: values by name.
  add(time, pairs) {
    this.round += 1;
    for (const [name, value] of pairs) {
      let entry = this.known.get(name);
      if (!entry) {
        entry = { ring: new Ring(this.size), round: 0 };
        this.known.set(name, entry);
      }
      entry.round = this.round;
      entry.ring.push(time, value);
    }
    for (const [name, entry] of this.known) {
      if (this.round - entry.round >= this.rounds) this.known.delete(name);
    }
  }

  points(name) {
    return this.known.get(name)?.ring.points() ?? [];
  }
}

/// Draws a line of points with a faint area below it. `lines` are horizontal marks, as values.
export function sparkline(canvas, points, { width, height, colour, most, lines = [], faint }) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const to = canvas.getContext("2d");
  to.scale(ratio, ratio);
  to.clearRect(0, 0, width, height);
  const top = Math.max(most ?? 0, ...points.map(([, value]) => value), ...lines, 1e-9);
  const y = (value) => height - 1.5 - (value / top) * (height - 4);
  to.lineWidth = 1;
  to.strokeStyle = faint;
  for (const line of lines) {
    to.setLineDash([2, 3]);
    to.beginPath();
    to.moveTo(0, y(line));
    to.lineTo(width, y(line));
    to.stroke();
  }
  to.setLineDash([]);
  if (points.length === 0) return;
  const [first] = points[0];
  const [last] = points[points.length - 1];
  const x = (time) => (last > first ? ((time - first) / (last - first)) * (width - 3) + 1 : width - 2);
  to.beginPath();
  points.forEach(([time, value], index) => {
    if (index === 0) to.moveTo(x(time), y(value));
    else to.lineTo(x(time), y(value));
  });
  to.strokeStyle = colour;
  to.lineWidth = 1.5;
  to.lineJoin = "round";
  to.stroke();
  if (points.length > 1) {
    to.lineTo(x(last), height);
    to.lineTo(x(first), height);
    to.closePath();
    to.globalAlpha = 0.12;
    to.fillStyle = colour;
    to.fill();
    to.globalAlpha = 1;
  }
  to.beginPath();
  to.arc(x(last), y(points[points.length - 1][1]), 1.8, 0, Math.PI * 2);
  to.fillStyle = colour;
  to.fill();
}
