// The switches, and one of them with its ports and what its metadata servers counted.

import { get, getOr } from "./api.js";
import { ago, count, h, none, plural, state, table } from "./dom.js";
import { attention, complaints, drift, dropletOf, figures, paging, portLink, switchLink } from "./parts.js";

const PAGE = 100;
const STATES = ["serving", "binding", "error", "unregistered"];

export function switches({ who, query }) {
  return {
    title: "Switches",
    load: async (signal) => {
      const { switches: all } = await get("switches", {}, signal);
      const searched = query.q ? await Promise.all(all.slice(0, 16).map((each) => found(each, query.q, signal))) : [];
      return { all, ports: searched.flat() };
    },
    render: ({ all, ports }) => ({
      headline: plural(all.length, "switch", "switches"),
      parts: [
        h("h1", {}, query.q ? `Ports found by “${query.q}”` : plural(all.length, "switch", "switches")),
        query.q ? portTable(ports, who) : null,
        attention(all),
        all.length ? table("Switches", [["Switch"], ["State"], ["Ports", "number"], ["Serving", "number"], ["Binding", "number"], ["Errors", "number"], ["Flows", "number"], ["Addresses"], ["Mended", "wide"]], all.map((each) => [
          switchLink(each.dpid), state(each.state), count(each.ports), count(each.serving), count(each.binding), count(each.errors), count(each.flows), h("span", { class: "mono" }, each.hv_local_subnet), drift(each),
        ])) : h("p", { class: "none" }, "No switch has connected since the controller started."),
      ],
    }),
  };
}

async function found({ dpid }, text, signal) {
  const { ports } = await getOr({ ports: [] }, `switches/${dpid}/ports`, { q: text, limit: PAGE }, signal);
  return ports.map((port) => ({ ...port, dpid }));
}

export function oneSwitch({ who, values: [dpid], query }) {
  return {
    title: `Switch ${dpid}`,
    load: async (signal) => {
      const { switches: all } = await get("switches", {}, signal);
      const me = all.find((each) => each.dpid === dpid) || null;
      if (me === null) return { me };
      const { state: wanted, q, after } = query;
      const { ports, next } = await get(`switches/${dpid}/ports`, { state: wanted, q, after, limit: PAGE }, signal);
      const ofports = ports.filter((port) => port.droplet_id !== null).map((port) => port.ofport).join(",") || "0";
      const requests = await getOr(null, `switches/${dpid}/requests`, { ofports }, signal);
      return { me, ports, next, requests };
    },
    render: ({ me, ports, next, requests }) => (me === null ? unknown(dpid) : {
      headline: `Switch ${dpid}: ${me.state}, ${count(me.serving)} of ${plural(me.ports, "port")} serving`,
      parts: [
        h("h1", {}, "Switch ", h("span", { class: "mono" }, dpid), " ", state(me.state)),
        facts(me),
        complaints(me).length ? h("section", { class: "attention" }, h("ul", {}, complaints(me).map((text) => h("li", {}, text)))) : null,
        servers(requests),
        h("h2", {}, "Ports"),
        filters(dpid, query),
        ports.length ? portTable(ports.map((port) => ({ ...port, dpid })), who, requests) : h("p", { class: "none" }, "No such port."),
        paging(`#/switches/${dpid}`, query, next, ports.length),
      ],
    }),
  };
}

function unknown(dpid) {
  return { parts: [h("h1", {}, `Switch ${dpid}`), h("p", {}, "This switch has not connected since the controller started, or the token is not for it.")] };
}

function facts(me) {
  return figures(
    ["Ports serving", `${count(me.serving)} of ${count(me.ports)}`],
    ["Binding", count(me.binding)],
    ["Errors", count(me.errors), me.errors ? "bad" : ""],
    ["Flows", count(me.flows)],
    ["Mended", drift(me)],
    ["Addresses", h("span", { class: "mono" }, me.hv_local_subnet)],
  );
}

function servers(requests) {
  if (requests === null) return null;
  const rows = requests.servers.map((each) => [
    each.server, ago(each.age_s), each.view_age_s === null ? "nobody vouched for it" : ago(each.view_age_s),
  ]);
  return h("section", {}, h("h2", {}, "Metadata servers"),
    rows.length ? table("Metadata servers", [["Server", "wide"], ["Last heard of"], ["Its view is of"]], rows)
      : h("p", { class: "bad" }, "No metadata server has told anything of this switch: droplets may get no answer."));
}

function filters(dpid, query) {
  const link = (name) => {
    const given = Object.entries({ q: query.q, state: name }).filter(([, value]) => value);
    return h("a", { href: `#/switches/${dpid}${given.length ? `?${new URLSearchParams(given)}` : ""}`, "aria-current": (query.state || "") === name ? "true" : null }, name || "all");
  };
  return h("nav", { class: "filters", "aria-label": "Ports by state" }, ["", ...STATES].map(link),
    query.q ? h("span", { class: "hint" }, `found by “${query.q}” `, h("a", { href: `#/switches/${dpid}` }, "clear")) : null);
}

function portTable(ports, who, requests = null) {
  const counts = new Map((requests ? requests.droplets : []).map((each) => [each.ofport, each]));
  const columns = [["Port"], ["Ofport", "number"], ["Droplet"], ["State"], ["Address"], ["Why", "wide"]];
  if (requests) columns.push(["Requests", "number"], ["Errors", "number"], ["Limited", "number"], ["Last", "number"], ["Asked"]);
  else columns.push(["Switch"]);
  return table("Ports", columns, ports.map((port) => {
    const told = counts.get(port.ofport);
    const cells = [
      portLink(port.dpid, port.ofport, port.name), port.ofport, dropletOf(who, port.droplet_id), state(port.state),
      port.hv_local_ip ? h("span", { class: "mono" }, port.hv_local_ip) : none(), port.reason || none(),
    ];
    if (!requests) return [...cells, switchLink(port.dpid)];
    if (!told) return [...cells, none(), none(), none(), none(), none()];
    return [...cells, count(told.requests), count(told.errors), count(told.rate_limited), status(told.last_status), ago(told.last_request_s)];
  }));
}

function status(code) {
  return h("span", { class: code >= 400 ? "bad" : "" }, code);
}
