// What several views show: links to things, the switches that need a look, and paging.

import { count, h, none, plural, state } from "./dom.js";

export const dropletLink = (id) => h("a", { href: `#/droplets/${id}`, class: "mono" }, id);
export const switchLink = (dpid) => h("a", { href: `#/switches/${dpid}`, class: "mono" }, dpid);
export const portLink = (dpid, ofport, text = ofport) => h("a", { href: `#/switches/${dpid}/ports/${ofport}`, class: "mono" }, text);

/** The port's droplet, as far as the caller may look at it. */
export function dropletOf(who, id) {
  if (id === null) return none();
  return who === "admin" ? dropletLink(id) : h("span", { class: "mono" }, id);
}

/** What is wrong with a switch, in sentences; empty where nothing is. */
export function complaints(each) {
  const found = [];
  if (each.state === "disconnected") found.push("It is disconnected: what was installed goes on working, nothing new is bound.");
  if (each.state === "refused") found.push(`It is refused: ${each.reason}`);
  else if (each.reason) found.push(each.reason);
  found.push(...each.warnings);
  return found;
}

/** The switches that somebody should look at, with why. */
export function attention(switches) {
  const items = switches.flatMap((each) => complaints(each).map((text) =>
    h("li", {}, switchLink(each.dpid), " ", state(each.state), " ", text)));
  return items.length ? h("section", { class: "attention" }, h("h2", {}, "Switches that need a look"), h("ul", {}, items)) : null;
}

/** How often flows of a switch had to be mended, and the last time. */
export function drift(each) {
  const { repaired, last_reason: reason, last_at: last } = each.drift;
  return repaired ? [count(repaired), h("span", { class: "hint" }, ` ${reason}, ${last}`)] : none("0");
}

/** Links to the first and the next page of a list; null where it is all on this one. */
export function paging(hash, query, next, shown) {
  if (!query.after && next === null) return null;
  const link = (after, text) => {
    const given = Object.entries({ ...query, after }).filter(([, value]) => value);
    return h("a", { href: `${hash}${given.length ? `?${new URLSearchParams(given)}` : ""}` }, text);
  };
  return h("nav", { class: "paging", "aria-label": "Pages" },
    query.after ? link("", "First page") : null,
    h("span", { class: "hint" }, `${plural(shown, "row")} on this page`),
    next !== null ? link(next, "Next page") : null);
}

/** Numbers with a name each, for a glance. */
export function figures(...pairs) {
  return h("dl", { class: "figures" }, pairs.map(([name, value, kind]) =>
    h("div", { class: kind }, h("dt", {}, name), h("dd", {}, value))));
}
