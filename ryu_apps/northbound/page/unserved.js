// What somebody on call looks at first: which droplets do not get their metadata, and why.

import { get, getOr } from "./api.js";
import { ago, count, h, none, plural, state, table } from "./dom.js";
import { attention, dropletLink, dropletOf, figures, paging, portLink, switchLink } from "./parts.js";

const PAGE = 100;
// Of so many switches at most it asks for ports or failures one by one.
const MOST = 16;

export function unserved({ who, query }) {
  const admin = who === "admin";
  return {
    title: "Not served",
    load: async (signal) => {
      const { switches } = await get("switches", {}, signal);
      const some = switches.slice(0, MOST);
      const [droplets, ports, failing] = await Promise.all([
        admin ? get("standings", { served: false, limit: PAGE, after: query.after }, signal) : null,
        admin ? [] : Promise.all(some.map((each) => troubled(each, signal))),
        Promise.all(some.map((each) => failures(each, signal))),
      ]);
      return { switches, droplets, ports: ports.flat(), failing: failing.flat(), all: some.length === switches.length };
    },
    render: (data) => (admin ? byDroplet(data, query) : byPort(data, who)),
  };
}

async function troubled({ dpid }, signal) {
  const none = { ports: [] };
  const { ports } = await getOr(none, `switches/${dpid}/ports`, { state: "error,binding", limit: PAGE }, signal);
  return ports.map((port) => ({ ...port, dpid }));
}

async function failures({ dpid }, signal) {
  const { droplets } = await getOr({ droplets: [] }, `switches/${dpid}/requests`, { failing: true }, signal);
  return droplets.slice(0, PAGE).map((each) => ({ ...each, dpid }));
}

function byDroplet({ switches, droplets: told, failing, all }, query) {
  const { registered, unserved: amount, droplets, next } = told;
  const headline = amount
    ? `${plural(amount, "droplet")} of ${count(registered)} not served`
    : registered ? `All ${plural(registered, "droplet")} served` : "No droplet is registered";
  return {
    headline,
    unserved: amount,
    parts: [
      h("h1", { class: amount ? "bad" : "good" }, headline),
      summary(switches),
      attention(switches),
      droplets.length ? table("Droplets that are not served", [["Droplet"], ["Hostname", "host"], ["State"], ["Why", "wide"], ["Port"], ["Switch"]], droplets.map(dropletRow)) : null,
      paging("#/", query, next, droplets.length),
      failingTable(failing, "admin", all),
    ],
  };
}

function dropletRow(each) {
  const port = each.ports.find((one) => one.state === each.state) || each.ports[0];
  return [
    dropletLink(each.droplet_id),
    each.hostname,
    state(each.state),
    each.reason || "it is on its way",
    port ? (port.ofport ? portLink(port.dpid, port.ofport, port.name) : h("span", { class: "mono" }, port.name)) : none(),
    port && port.dpid ? switchLink(port.dpid) : none(),
  ];
}

function byPort({ switches, ports, failing, all }, who) {
  const amount = switches.reduce((sum, each) => sum + each.errors + each.binding, 0);
  const headline = amount ? `${plural(amount, "port")} with trouble` : "No port has trouble";
  return {
    headline,
    unserved: amount,
    parts: [
      h("h1", { class: amount ? "bad" : "good" }, headline),
      summary(switches),
      attention(switches),
      ports.length ? table("Ports with trouble", [["Port"], ["Ofport", "number"], ["Switch"], ["Droplet"], ["State"], ["Why", "wide"]], ports.map((port) => [
        portLink(port.dpid, port.ofport, port.name), port.ofport, switchLink(port.dpid), dropletOf(who, port.droplet_id), state(port.state), port.reason || "it is on its way",
      ])) : null,
      failingTable(failing, who, all),
    ],
  };
}

function summary(switches) {
  const sum = (name) => switches.reduce((total, each) => total + each[name], 0);
  const away = switches.filter((each) => each.state !== "in-sync").length;
  const mended = switches.reduce((total, each) => total + each.drift.repaired, 0);
  return figures(
    ["Switches in sync", `${count(switches.length - away)} of ${count(switches.length)}`, away ? "bad" : ""],
    ["Ports serving", count(sum("serving"))],
    ["Ports binding", count(sum("binding"))],
    ["Ports with errors", count(sum("errors")), sum("errors") ? "bad" : ""],
    ["Flows mended", count(mended)],
  );
}

function failingTable(failing, who, all) {
  if (!failing.length && all) return null;
  const rows = [...failing].sort((one, other) => one.last_request_s - other.last_request_s).slice(0, PAGE);
  return h("section", {},
    h("h2", {}, "Served, but last answered with an error"),
    all ? null : h("p", { class: "hint" }, `Of the first ${MOST} switches; each switch's page has its own.`),
    rows.length ? table("Droplets whose last answer was an error", [["Droplet"], ["Port"], ["Last status", "number"], ["Errors", "number"], ["Rate-limited", "number"], ["Unsure", "number"], ["Last request"]],
      rows.map((each) => [dropletOf(who, each.droplet_id), portLink(each.dpid, each.ofport), each.last_status, count(each.errors), count(each.rate_limited), count(each.unsure), ago(each.last_request_s)])) : h("p", { class: "none" }, "None."));
}
