// All droplets, or those that a text finds, a page at a time: the controller searches, not the page.

import { get } from "./api.js";
import { count, h, none, plural, state, table } from "./dom.js";
import { dropletLink, paging, portLink, switchLink } from "./parts.js";

const PAGE = 100;
const COLUMNS = [["Droplet"], ["Hostname", "host"], ["State"], ["Port"], ["Address"], ["Switch"], ["Region"], ["Tags", "host"], ["Why", "wide"]];

export function droplets({ who, query }) {
  if (who !== "admin") return forAdmins();
  return {
    title: query.q ? `Droplets: ${query.q}` : "Droplets",
    load: (signal) => get("standings", { q: query.q, after: query.after, limit: PAGE }, signal),
    render: (data) => {
      const found = data.droplets;
      const headline = query.q
        ? `${found.length === PAGE || query.after ? "Droplets" : plural(found.length, "droplet")} found by “${query.q}”`
        : `${plural(data.registered, "droplet")} registered`;
      return {
        headline,
        unserved: data.unserved,
        parts: [
          h("h1", {}, headline),
          query.q ? h("p", { class: "hint" }, "Looked for in id, hostname, port names, MACs and addresses. ", h("a", { href: "#/droplets" }, `Show all ${count(data.registered)}`)) : null,
          found.length ? table("Droplets", COLUMNS, found.map(row)) : h("p", { class: "none" }, "Nothing found."),
          paging("#/droplets", query, data.next, found.length),
        ],
      };
    },
  };
}

function row(each) {
  const port = each.ports.find((one) => one.state === each.state) || each.ports[0];
  return [
    dropletLink(each.droplet_id),
    each.hostname,
    state(each.state),
    port ? (port.ofport ? portLink(port.dpid, port.ofport, port.name) : h("span", { class: "mono" }, port.name)) : none(),
    port && port.hv_local_ip ? h("span", { class: "mono" }, port.hv_local_ip) : none(),
    port && port.dpid ? switchLink(port.dpid) : none(),
    each.region,
    each.tags.length ? each.tags.map((tag) => h("span", { class: "tag" }, tag)) : none(),
    each.reason || none(),
  ];
}

function forAdmins() {
  return {
    title: "Droplets",
    load: async () => ({}),
    render: () => ({ parts: [h("h1", {}, "Droplets"), h("p", {}, "The registry is for tokens of role admin. What is on a switch's ports is at ", h("a", { href: "#/switches" }, "Switches"), ".")] }),
  };
}
