// The page as a whole: signing in and out, which view the address names, the theme, and how fresh
// what is shown is.

import { Refused, role, session } from "./api.js";
import { ago, count, h, show } from "./dom.js";
import { droplet, port } from "./droplet.js";
import { droplets } from "./droplets.js";
import { Poll } from "./poll.js";
import { oneSwitch, switches } from "./switches.js";
import { unserved } from "./unserved.js";

const at = (id) => document.getElementById(id);
const main = at("main");
const VIEWS = [
  [/^$/, "unserved", unserved],
  [/^droplets$/, "droplets", droplets],
  [/^droplets\/(\d{1,10})$/, "droplets", droplet],
  [/^switches$/, "switches", switches],
  [/^switches\/([0-9a-f]{16})$/, "switches", oneSwitch],
  [/^switches\/([0-9a-f]{16})\/ports\/(\d{1,5})$/, "switches", port],
];
let who = null;
let poll = null;
let fresh = null;
let shown = "";

/** The view that the address names, with what follows "?" in it. */
function route() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  for (const [pattern, name, view] of VIEWS) {
    const found = pattern.exec(path);
    if (found) return { name, view, values: found.slice(1), query: Object.fromEntries(new URLSearchParams(search)) };
  }
  return { name: "unserved", view: unserved, values: [], query: {} };
}

function open() {
  poll?.end();
  const { name, view, values, query } = route();
  for (const link of document.querySelectorAll("nav [data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (document.activeElement !== at("search")) at("search").value = query.q || "";
  fresh = null;
  shown = "";
  const page = view({ who, values, query });
  document.title = `${page.title} – ovs-metadata`;
  main.dataset.at = location.hash;
  main.setAttribute("aria-busy", "true");
  show(main, h("h1", {}, page.title), h("p", { class: "none" }, "Asking the controller…"));
  poll = new Poll(page.load, (data) => answered(page, data), failed);
}

function answered(page, data) {
  fresh = Date.now();
  at("trouble").hidden = true;
  tick();
  // What has not changed is not drawn again: selections, focus and scrolling stay.
  const now = JSON.stringify(data);
  if (now === shown) return;
  shown = now;
  const { headline, unserved: amount, parts } = page.render(data);
  if (amount !== undefined) at("unserved-count").textContent = amount === null ? "" : count(amount);
  show(main, parts);
  main.removeAttribute("aria-busy");
  if (headline && at("spoken").textContent !== headline) at("spoken").textContent = headline;
}

function failed(error) {
  if (error instanceof Refused && error.status === 401) {
    signOut("The controller does not know this token any more.");
    return;
  }
  const trouble = at("trouble");
  const since = fresh === null ? "" : ` What is shown is from ${ago((Date.now() - fresh) / 1000)}.`;
  trouble.textContent = `No news: ${error.message}.${since}`;
  trouble.hidden = false;
  if (!(error instanceof Refused)) console.error(error);
}

function tick() {
  at("freshness").textContent = fresh === null ? "" : `as of ${ago((Date.now() - fresh) / 1000)}`;
}

async function signIn(event) {
  event.preventDefault();
  const field = at("token");
  at("login-error").textContent = "";
  session.begin(field.value.trim());
  try {
    who = await role();
  } catch (error) {
    session.end();
    at("login-error").textContent = `That did not work: ${error.message}.`;
    return;
  }
  if (who === null) {
    session.end();
    at("login-error").textContent = "The controller does not know this token.";
    field.select();
    return;
  }
  field.value = "";
  session.keep();
  begin();
}

function begin() {
  at("login").hidden = true;
  at("app").hidden = false;
  document.querySelector('[data-view="droplets"]').hidden = who !== "admin";
  open();
  main.focus();
}

function signOut(why = "") {
  poll?.end();
  poll = null;
  session.end();
  show(main);
  at("unserved-count").textContent = "";
  at("spoken").textContent = "";
  at("app").hidden = true;
  at("login").hidden = false;
  at("login-error").textContent = why;
  document.title = "ovs-metadata";
  at("token").focus();
}

function search(event) {
  event.preventDefault();
  const text = at("search").value.trim();
  const [path] = location.hash.replace(/^#\/?/, "").split("?");
  const here = /^switches\/[0-9a-f]{16}/.exec(path);
  const target = who === "admin" ? "droplets" : here ? here[0] : "switches";
  location.hash = text ? `#/${target}?${new URLSearchParams({ q: text })}` : `#/${target}`;
}

// -- theme -----------------------------------------------------------------------------------------

const THEMES = ["auto", "light", "dark"];

function theme(name) {
  const given = THEMES.includes(name) ? name : "auto";
  if (given === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = given;
  localStorage.setItem("theme", given);
  at("theme").textContent = `Theme: ${given}`;
}

function nextTheme() {
  theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme")) + 1) % THEMES.length]);
}

// --------------------------------------------------------------------------------------------------

theme(localStorage.getItem("theme"));
at("theme").addEventListener("click", nextTheme);
at("login-form").addEventListener("submit", signIn);
at("logout").addEventListener("click", () => signOut());
at("search-form").addEventListener("submit", search);
window.addEventListener("hashchange", () => who !== null && open());
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  at("search").focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
setInterval(tick, 1000);

if (session.there) {
  role().then((known) => {
    who = known;
    if (known === null) signOut("The controller does not know this token any more.");
    else begin();
  }, (error) => signOut(`No answer: ${error.message}.`));
} else {
  signOut();
}
