// What doctor found.

import { command, count, el, fill, span } from "./elements.js";

/// A finding with its remedy. `brief`: without what is said beside it.
export function card(finding, { brief = false } = {}) {
  const { code, level, title, what, evidence, matters, remedy, commands, link, explain } = finding;
  return el("article", { class: `finding ${level}` },
    el("h3", {}, el("span", { class: "code" }, code), " ", title, el("span", { class: `level ${level}` }, level)),
    brief ? "" : el("p", {}, what),
    brief ? "" : evidence.map((line) => el("p", { class: "evidence" }, line)),
    el("p", { class: "muted" }, matters),
    el("p", {}, remedy),
    commands.map(command),
    el("p", { class: "muted small" }, `More: ${link}, or ${explain}`));
}

export function doctor(parent, { report, age, failure }) {
  if (!report) {
    fill(parent, el("p", { class: failure ? "evidence" : "muted empty" }, failure ?? "doctor looks …"));
    return;
  }
  const { findings, checked, unknown, skipped, server, kubernetes } = report;
  const head = findings.length > 0 ? `${count(findings.length, "finding")}` : unknown.length > 0 ? "Nothing found, as far as it can be read" : "Nothing is wrong";
  const made = `${count(checked.length, "check")} made ${span(age)} ago, ${unknown.length} not possible, ${skipped.length} skipped · Kubernetes ${kubernetes || "of a version that is not known"}, with ${server}`;
  fill(parent,
    el("div", { class: "doctor-head" },
      el("h2", {}, el("span", { "aria-hidden": "true" }, findings.length > 0 ? "! " : "✓ "), head), el("p", { class: "muted" }, made)),
    failure ? el("p", { class: "evidence" }, failure) : "",
    findings.map((finding) => card(finding)),
    unmade("unknown", "not possible", unknown), unmade("skipped", "skipped", skipped));
}

/// Checks that were not made, and why.
function unmade(key, how, checks) {
  if (checks.length === 0) return "";
  return el("details", { data: { key }, class: "unknown" },
    el("summary", {}, `${count(checks.length, "check")} ${how}`),
    checks.map(({ check, reason }) => el("p", { class: "evidence" }, `${check}: ${reason}`)));
}
