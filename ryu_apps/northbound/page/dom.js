// Making elements. The only way to the document: text becomes text nodes, so nothing that a droplet
// or an operator named can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** An element with attributes (`onclick`: a listener) and children, nodes or text. */
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function s(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Show `children` in `place` instead of what was there; who reads by keyboard stays where they are. */
export function show(place, ...children) {
  const active = document.activeElement;
  const key = place.contains(active) ? active.getAttribute("href") || active.id : null;
  place.replaceChildren(...children.flat(Infinity).filter(Boolean).map(asNode));
  if (key === null) return;
  for (const candidate of place.querySelectorAll("a[href], [id]")) {
    if (candidate.getAttribute("href") === key || candidate.id === key) {
      candidate.focus({ preventScroll: true });
      return;
    }
  }
}

/** A table: `columns` are [heading, class], `rows` arrays of cells, nodes or text. On a phone each row
 * becomes a card, but where `cards` is false. */
export function table(caption, columns, rows, cards = true) {
  const heads = columns.map(([text, kind]) => h("th", { scope: "col", class: kind }, text));
  const body = rows.map((cells) =>
    h("tr", {}, cells.map((cell, n) =>
      h(n === 0 ? "th" : "td", { class: columns[n][1], scope: n === 0 ? "row" : null, "data-label": columns[n][0] }, cell))),
  );
  return h("div", { class: cards ? "scroller cards" : "scroller", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "hidden" }, caption), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body)));
}

const SHAPES = { serving: "●", "in-sync": "●", present: "●", binding: "◐", syncing: "◐", changed: "▲", unregistered: "○", absent: "○" };

/** A state as a word with a mark of its own, so that colour is not all there is. */
export function state(name) {
  return h("span", { class: `state ${name}` }, h("span", { "aria-hidden": "true" }, SHAPES[name] || "▲"), ` ${name}`);
}

/** What is not there. */
export function none(text = "–") {
  return h("span", { class: "none" }, text);
}

const NUMBER = new Intl.NumberFormat("en");

export function count(value) {
  return NUMBER.format(value);
}

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Seconds as people say them. */
export function ago(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  if (seconds < 1.5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}
