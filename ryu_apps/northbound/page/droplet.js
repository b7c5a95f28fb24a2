// One droplet, or one port: what it is, where it is, and its path with counters and last errors.

import { get, getOr } from "./api.js";
import { ago, count, h, none, state, table } from "./dom.js";
import { complaints, drift, dropletOf, figures, portLink, switchLink } from "./parts.js";
import { path, verdict } from "./path.js";

/** The droplet with this id, its path for each port that it has somewhere. */
export function droplet({ who, values: [id] }) {
  return {
    title: `Droplet ${id}`,
    load: async (signal) => {
      const after = Number(id) - 1;
      const told = await getOr({ droplets: [], unserved: null }, "standings", { limit: 1, after }, signal);
      const me = told.droplets.find((each) => each.droplet_id === Number(id)) || null;
      const there = me ? me.ports.filter((each) => each.ofport !== null) : [];
      const ways = await Promise.all(there.map((each) => way(each.dpid, each.ofport, signal)));
      return { me, unserved: told.unserved, ways };
    },
    render: ({ me, unserved, ways }) => (me === null
      ? { parts: [h("h1", {}, `Droplet ${id}`), h("p", {}, "It is not registered, or the token may not see it.")] }
      : {
        unserved: unserved === null ? undefined : unserved,
        headline: `Droplet ${id} ${me.state}`,
        parts: [
          h("h1", {}, "Droplet ", h("span", { class: "mono" }, id), " ", state(me.state)),
          me.reason && !ways.length ? h("p", { class: "verdict bad" }, `${me.reason}.`) : null,
          figures(["Hostname", me.hostname], ["Region", me.region], ["Tags", me.tags.length ? me.tags.map((tag) => h("span", { class: "tag" }, tag)) : none()]),
          h("h2", {}, "Ports it claims"),
          me.ports.length ? table("Ports it claims", [["Port"], ["State"], ["MAC"], ["Address"], ["Ofport", "number"], ["Switch"], ["Why", "wide"]], me.ports.map(claim)) : h("p", { class: "none" }, "None."),
          ways.map((each) => drawn(each, who)),
        ],
      }),
  };
}

function claim(port) {
  return [
    port.ofport ? portLink(port.dpid, port.ofport, port.name) : h("span", { class: "mono" }, port.name),
    state(port.state), h("span", { class: "mono" }, port.mac),
    port.hv_local_ip ? h("span", { class: "mono" }, port.hv_local_ip) : none(),
    port.ofport ?? none(), port.dpid ? switchLink(port.dpid) : none(), port.reason || none(),
  ];
}

/** The port with this ofport, whoever is on it. */
export function port({ who, values: [dpid, ofport] }) {
  return {
    title: `Port ${ofport}`,
    load: (signal) => way(dpid, Number(ofport), signal),
    render: (told) => ({
      headline: told.port ? `Port ${told.port.name} ${told.port.state}` : `No port ${ofport}`,
      parts: [
        h("h1", {}, "Port ", h("span", { class: "mono" }, told.port ? told.port.name : ofport), told.port ? [" ", state(told.port.state)] : null),
        told.port ? drawn(told, who) : h("p", {}, "The switch has no such port, or the token is not for it."),
      ],
    }),
  };
}

/** What the controller knows of a port's way. */
async function way(dpid, ofport, signal) {
  const [{ ports }, { switches }, flows, requests] = await Promise.all([
    getOr({ ports: [] }, `switches/${dpid}/ports`, { after: ofport - 1, limit: 1 }, signal),
    get("switches", {}, signal),
    getOr((error) => ({ flows: [], cookie: null, fault: error.message }), `switches/${dpid}/ports/${ofport}/flows`, {}, signal),
    getOr({ servers: [], droplets: [] }, `switches/${dpid}/requests`, { ofports: ofport }, signal),
  ]);
  return {
    dpid, ofport, flows,
    port: ports.find((each) => each.ofport === ofport) || null,
    on: switches.find((each) => each.dpid === dpid) || null,
    servers: requests.servers, told: requests.droplets[0] || null,
  };
}

function drawn({ dpid, ofport, port: here, on, flows, servers, told }, who) {
  if (here === null) return null;
  const [kind, sentence] = flows.fault ? ["bad", `The switch's flows are not known: ${flows.fault}.`] : verdict(here, flows.flows, told);
  const ends = {
    droplet: [here.name, here.droplet_id === null ? "no droplet" : `${here.droplet_id}`],
    meta0: [here.hv_local_ip || "no address"],
    server: servers.length ? servers.slice(0, 2).map((each) => `heard ${ago(each.age_s)}`) : ["not heard of"],
  };
  return h("section", { class: "way" },
    h("h2", {}, "Path of ", h("span", { class: "mono" }, here.name), " on ", switchLink(dpid)),
    h("p", { class: `verdict ${kind}` }, sentence),
    h("div", { class: "scroller drawing", tabindex: "0", role: "region", "aria-label": "The path, drawn" }, path(flows.flows, ends, `${sentence} The table below has the counters.`)),
    figures(
      ["Droplet", dropletOf(who, here.droplet_id)], ["Ofport", ofport],
      ["Address", here.hv_local_ip ? h("span", { class: "mono" }, here.hv_local_ip) : none()],
      ["Cookie", flows.cookie ? h("span", { class: "mono" }, flows.cookie) : none()]),
    flows.flows.length ? table("Flows of the port", [["Flow"], ["State"], ["Packets", "number"], ["Bytes", "number"], ["Table", "number"], ["Priority", "number"], ["Added"]],
      flows.flows.map((flow) => [flow.name, state(flow.state), count(flow.packets), count(flow.bytes), flow.table, flow.priority, flow.state === "missing" ? none() : ago(flow.age_s)]), false) : null,
    errors(here, on, told));
}

/** What went wrong last, from whoever says so. */
function errors(here, on, told) {
  const found = [];
  if (here.reason) found.push(["The port", here.reason]);
  for (const text of on ? complaints(on) : []) found.push(["The switch", text]);
  return [
    h("h3", {}, "Requests"),
    told ? figures(["Requests", count(told.requests)], ["Errors", count(told.errors), told.errors ? "bad" : ""], ["Rate-limited", count(told.rate_limited), told.rate_limited ? "bad" : ""],
      ["Unsure whose", count(told.unsure), told.unsure ? "bad" : ""], ["Last status", told.last_status, told.last_status >= 400 ? "bad" : ""], ["Last request", ago(told.last_request_s)])
      : h("p", { class: "none" }, "No metadata server has counted a request of it."),
    h("h3", {}, "Last errors"),
    found.length ? h("ul", {}, found.map(([whose, text]) => h("li", {}, `${whose}: ${text}`))) : h("p", { class: "none" }, "None known."),
    on && on.drift.repaired ? h("p", {}, "Flows mended on this switch: ", drift(on)) : null,
  ];
}
