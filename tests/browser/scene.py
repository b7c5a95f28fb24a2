"""A small cloud for the web page to show: real REST, a stand-in for the core, and some trouble."""

from tests.http.rest_harness import DPID, DPID_TEXT, OTHER, RestController, droplet

NOWHERE, BROKEN, FAILING, HEALTHY = 7889390, 7889375, 7889373, 7889371
"""Droplets: no switch has a port for it, its port is in error, its requests fail, all is well."""

HOSTILE = 7889399
"""One whose names are meant to become markup."""

MARKUP = "<img src=x onerror=alert(1)>"
NAMES = ("web", "api", "db", "cache", "queue", "build", "mail", "edge")


FIRST = HEALTHY


def build(controller: RestController, count: int = 14, *, hostile: bool = False) -> None:
    """Two switches, `count` droplets on the first, the trouble above among them."""
    first = FIRST
    extra = [NOWHERE, HOSTILE] if hostile else [NOWHERE]
    numbers = [*range(count), *(each - first for each in extra if each - first >= count)]
    batch = [{"droplet_id": first + n, **described(first + n, n)} for n in numbers]
    for start in range(0, len(batch), 2000):
        answer = controller.request("POST", "/v1/droplets", batch[start : start + 2000])
        assert answer.status == 200, answer.body
    for dpid in (DPID, OTHER):
        controller.do("connect", dpid=dpid)
        controller.do("in-sync", dpid=dpid)
    controller.do("publish", dpid=DPID, ofport=1, name="eth0")
    ports = [
        {"ofport": 600 + n, "name": f"tap{first + n}", "droplet_id": first + n}
        for n in range(count)
        if first + n not in (BROKEN, NOWHERE)
    ]
    controller.do("publish-all", dpid=DPID, ports=ports)
    reason = f"droplet {BROKEN}: a newer port tap{BROKEN} is on switch {OTHER:016x}"
    broken = {"ofport": 600 + BROKEN - first, "name": f"tap{BROKEN}"}
    controller.do("publish", dpid=DPID, **broken, elsewhere=reason)
    if hostile:
        controller.do("publish", dpid=DPID, ofport=590, name='"><b>x</b>', elsewhere=MARKUP)
    controller.do("flows", packets=[2, 2, 57, 410, 467, 455, 0, 455])
    controller.do("follow", dpid=DPID, server="meta-1")
    told = [counts(n) for n in range(min(count, 12)) if first + n != BROKEN]
    path = f"/v1/switches/{DPID_TEXT}/servers/meta-1/requests"
    report = {"view_age_s": 0.4, "droplets": told}
    assert controller.request("PUT", path, report, role="server").status == 204


def described(droplet_id: int, n: int) -> dict:
    """The document of a droplet; the hostile one has markup wherever the registry takes it."""
    if droplet_id == HOSTILE:
        port = [{"name": "<i>\"&'<b>", "mac": "02:00:00:00:00:09"}]
        return {"ports": port, "metadata": {"region": "<u>nyc</u>", "tags": [MARKUP, "&lt;"]}}
    name = f"{NAMES[n % len(NAMES)]}-{n // len(NAMES) + 1}.example.com"
    address = {"ip_address": f"104.131.{n // 250}.{n % 250 + 1}"}
    nic = {
        "mac": f"04:01:{n >> 16:02x}:{n >> 8 & 255:02x}:{n & 255:02x}:01",
        "ipv4": address | {"netmask": "255.255.192.0", "gateway": "104.131.0.1"},
    }
    tags = ["production" if n % 3 else "staging", NAMES[n % len(NAMES)]]
    return droplet(f"tap{droplet_id}", hostname=name, tags=tags, interfaces={"public": [nic]})


def counts(n: int) -> dict:
    """What a server counted for the droplet with this number."""
    failing = 7889371 + n == FAILING
    return {
        "ofport": 600 + n,
        "droplet_id": 7889371 + n,
        "requests": 40 + n * 7,
        "errors": 31 if failing else 0,
        "rate_limited": 4 if failing else 0,
        "unsure": 0,
        "without_token": 0,
        "last_status": 404 if failing else 200,
        "last_request_s": 3.0 + n * 11,
    }
