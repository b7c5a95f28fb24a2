// A droplet's path, drawn: what it sends goes right through the switch to its metadata server, what
// comes back goes left; each box is a flow with what the switch counted of it.

import { count, s } from "./dom.js";

const BOX = { width: 136, height: 56 };
// Where each flow stands: the middle of its box, and what it does. N1 or N1k, then L1; R1 or R1s,
// then R2.
const PLACES = {
  A1: [276, 40, "who has the address?"],
  A2: [520, 40, "who has the droplet?"],
  N1: [276, 124, "a connection begins"],
  N1k: [276, 192, "and goes on"],
  L1: [520, 158, "to meta0"],
  R1: [520, 258, "back through NAT"],
  R1s: [520, 326, "for a stale MAC"],
  R2: [276, 292, "to the droplet"],
};
// [x, y, width, height] of what is at the ends.
const ENDS = { droplet: [12, 92, 124, 266], meta0: [664, 92, 104, 266], server: [832, 92, 112, 266] };
const ARROWS = [
  ["request", "M136 124H205"], ["request", "M136 192H205"],
  ["request", "M344 124C400 124 390 152 449 152"], ["request", "M344 192C400 192 390 164 449 164"],
  ["request", "M588 158H661"], ["request", "M768 158H829"],
  ["reply", "M832 292H771"], ["reply", "M664 258H591"], ["reply", "M664 326H591"],
  ["reply", "M452 258C396 258 406 286 347 286"], ["reply", "M452 326C396 326 406 298 347 298"],
  ["reply", "M208 292H139"],
];

/** The drawing; `flows` as the controller tells them, `ends` the lines under droplet, meta0 and server. */
export function path(flows, ends, described) {
  const by = Object.fromEntries(flows.map((flow) => [flow.name, flow]));
  return s("svg", { class: "path", viewBox: "0 0 956 370", role: "img", "aria-label": described },
    s("defs", {}, ["request", "reply"].map((kind) => s("marker", { id: `head-${kind}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      s("path", { d: "M0 0 8 4 0 8z", class: `head ${kind}` })))),
    s("path", { d: "M74 92V40H208", class: "line arp" }), s("path", { d: "M716 92V40H588", class: "line arp" }),
    s("text", { x: 141, y: 32, class: "lane" }, "ARP"), s("text", { x: 652, y: 32, class: "lane" }, "ARP"),
    ARROWS.map(([kind, d]) => s("path", { d, class: `line ${kind}`, "marker-end": `url(#head-${kind})` })),
    s("text", { x: 170, y: 162, class: "lane" }, "request"), s("text", { x: 170, y: 282, class: "lane" }, "reply"),
    Object.keys(ENDS).map((name) => end(name, ends[name] || [])),
    Object.entries(PLACES).map(([name, place]) => box(name, place, by[name])));
}

function end(name, lines) {
  const [x, y, width, height] = ENDS[name];
  const middle = x + width / 2;
  return s("g", { class: "end" }, s("rect", { x, y, width, height, rx: 8 }),
    s("text", { x: middle, y: y + height / 2 - 8, class: "name" }, name),
    lines.map((line, n) => s("text", { x: middle, y: y + height / 2 + 12 + n * 16, class: "told" }, line)));
}

function box(name, [x, y, does], flow) {
  const kind = !flow ? "off" : flow.state !== "present" ? "wrong" : flow.packets ? "moving" : "still";
  const told = !flow ? "no flow" : flow.state !== "present" ? flow.state : `${short(flow.packets)} pkts`;
  return s("g", { class: `flow ${kind}`, "data-flow": name },
    s("rect", { x: x - BOX.width / 2, y: y - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 6 }),
    s("text", { x: x - BOX.width / 2 + 10, y: y - 8, class: "name" }, name),
    s("text", { x: x + BOX.width / 2 - 10, y: y - 8, class: "packets" }, told),
    s("text", { x, y: y + 16, class: "told" }, does));
}

function short(packets) {
  if (packets < 10000) return count(packets);
  return packets < 1e7 ? `${Math.round(packets / 1e3)} k` : `${Math.round(packets / 1e6)} M`;
}

/** One sentence: how far the droplet's packets come, judged by what the switch counted. */
export function verdict(port, flows, told) {
  const packets = Object.fromEntries(flows.map((flow) => [flow.name, flow.packets]));
  const wrong = flows.filter((flow) => flow.state !== "present").map((flow) => `${flow.name} ${flow.state}`);
  if (port.state !== "serving") return ["bad", `The port is in state ${port.state}${port.reason ? `: ${port.reason}` : ""}.`];
  if (wrong.length) return ["bad", `Flows are not as they should be: ${wrong.join(", ")}. The controller mends them.`];
  if (!flows.length) return ["bad", "There are no flows for this port."];
  if (!packets.A1 && !packets.N1) return ["", "Nothing has come from the droplet yet: no ARP for the address, no connection."];
  if (!packets.N1) return ["bad", "The droplet asked by ARP and was answered, but has opened no connection."];
  if (!packets.L1) return ["bad", "Connections are opened, but none comes out of conntrack: its zone may be full."];
  if (!packets.R1 && !packets.R1s) return ["bad", "Requests leave by meta0 and nothing comes back: does the metadata server run, and does the host let it answer?"];
  if (!packets.R2) return ["bad", "Replies come back, but none comes out of conntrack."];
  if (told && told.last_status >= 400) return ["bad", `Requests and replies pass; the last answer was ${told.last_status}.`];
  return ["good", "Requests go out and replies come back."];
}
