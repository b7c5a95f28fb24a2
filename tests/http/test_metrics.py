"""The metrics of both real processes are those of the tables, and nothing sent makes them grow."""

import itertools
import random
import string
from types import ModuleType

import pytest
from prometheus_client.parser import text_string_to_metric_families

import metadata_http.metric_table
import ryu_apps.northbound.metric_table
from ryu_apps.northbound.openapi import description
from tests.http.fake_controller import port
from tests.http.real_controller import RealController
from tests.http.rest_harness import droplet

OF_THE_LIBRARY = ("process_", "python_")
METADATA_HTTP = metadata_http.metric_table
CONTROLLER = ryu_apps.northbound.metric_table


@pytest.fixture(scope="module")
def rest(tmp_path_factory):
    """The real controller, with a droplet registered."""
    with RealController(tmp_path_factory.mktemp("controller")) as controller:
        assert controller.request("PUT", "/v1/droplets/7", droplet()).status == 201
        yield controller


@pytest.fixture
def server(controller, make_server):
    controller.put(port(602, "127.0.0.7", 7), port(603, "127.0.0.8"))
    made = make_server(controller, formats="digitalocean, ec2, openstack", rate_limit=0).start()
    controller.wait_acknowledged()
    return made


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def hold_to(table: ModuleType, text: str) -> None:
    """Fail where the scrape and the table differ, in either direction."""
    ours = {
        name: family
        for name, family in families(text).items()
        if not name.startswith(OF_THE_LIBRARY)
    }
    declared = {table.PREFIX + metric.name: metric for metric in table.METRICS}
    # The library tells when a counter was made, as a family of its own.
    made = {f"{table.PREFIX}rest_requests_created", f"{table.PREFIX}rest_seconds_created"}
    assert ours.keys() - made == declared.keys()
    for name, metric in declared.items():
        family = ours[name]
        assert (family.type, family.documentation) == (metric.kind, metric.text)
        for sample in family.samples:
            labels = sample.labels.keys() - ({"le"} if metric.kind == "histogram" else set())
            assert labels == metric.labels.keys(), sample
            for label, values in metric.labels.items():
                if not isinstance(values, str):
                    assert sample.labels[label] in values, sample


def of_controller(rest):
    answer = rest.request("GET", "/metrics")
    assert answer.status == 200
    return answer.body.decode()


def of_server(server):
    status, text = server.admin("/metrics")
    assert status == 200
    return text


def sample(text, name, **labels):
    """The value of one sample."""
    (found,) = [
        each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
        if each.name == name and each.labels == labels
    ]
    return found


def test_the_controller_has_the_metrics_of_its_table_and_no_other(rest):
    hold_to(CONTROLLER, of_controller(rest))


def test_the_metadata_server_has_the_metrics_of_its_table_and_no_other(server):
    hold_to(METADATA_HTTP, of_server(server))


def hostile(rng):
    """A word that a label could be made of, were it one."""
    alphabet = string.ascii_letters + string.digits + "._-~%2e"
    return "".join(rng.choices(alphabet, k=rng.randint(1, 40)))


def series(text):
    return {
        (each.name, *sorted(each.labels.items()))
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def test_nothing_that_is_sent_to_the_controller_makes_its_metrics_grow(rest):
    rng = random.Random(7)
    templates = [path for path in description()["paths"] if "backup" not in path]
    methods = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "BREW", "X" * 20)

    def walk():
        for template, method in itertools.product(templates, methods):
            path = template
            while "{" in path:
                before, _, rest_of_it = path.partition("{")
                path = before + hostile(rng) + rest_of_it.partition("}")[2]
            rest.request(method, path)
            rest.request(method, f"/{hostile(rng)}/{hostile(rng)}", headers={"Host": hostile(rng)})
            rest.request(method, path, headers={"Authorization": f"Bearer {hostile(rng)}"})
        for number in (rng.randint(1, 2**32 - 1) for _ in range(20)):
            rest.request("PUT", f"/v1/droplets/{number}", droplet(hostname=hostile(rng)))
        return series(of_controller(rest))

    first = walk()
    assert walk() == walk() == first | walk()
    hold_to(CONTROLLER, of_controller(rest))


def test_nothing_that_droplets_send_makes_the_metrics_grow(server):
    rng = random.Random(7)
    paths = ("/metadata/v1", "/metadata/v1/id", "/metadata/v1.json", "/latest/meta-data/", "/")
    paths += ("/openstack/latest/meta_data.json", "/v1/maintenance_event", "/metadata/v1/token")

    def walk():
        sources = (f"127.0.{rng.randint(1, 250)}.{rng.randint(1, 250)}" for _ in range(60))
        for source in ("127.0.0.7", "127.0.0.8", *sources):
            for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "BREW"):
                server.get(rng.choice(paths) + hostile(rng), source, method)
                server.get(rng.choice(paths), source, method, {"Host": hostile(rng)})
        return series(of_server(server))

    first = walk()
    second = walk()
    hold_to(METADATA_HTTP, of_server(server))
    # Combinations of the listed values may still come, but there are no more than these.
    statuses, kinds = METADATA_HTTP.STATUSES, METADATA_HTTP.PATH_KINDS
    answers = {each for each in first | second if each[0] == "metadata_http_answers_total"}
    assert len(answers) <= len(statuses) * len(kinds)
    assert first - answers == second - answers


def test_answers_are_counted_by_status_and_kind_of_path(server):
    for path, kind, status in (
        ("/metadata/v1/id", "v1", 200),
        ("/metadata/v1/nothing", "v1", 404),
        ("/metadata/v1.json", "v1.json", 200),
        ("/metadata/v1/user-data", "user-data", 200),
        ("/v1/maintenance_event", "maintenance", 200),
        ("/latest/meta-data/instance-id", "ec2", 200),
        ("/openstack/latest/meta_data.json", "openstack", 200),
        ("/robots.txt", "other", 404),
    ):
        labels = {"status": str(status), "path": kind}
        for times in (1, 2):
            assert server.get(path, "127.0.0.7")[0] == status
            counted = sample(of_server(server), "metadata_http_answers_total", **labels)
            assert counted == times, path
    text = of_server(server)
    assert sample(text, "metadata_http_answer_seconds_count") == 16
    assert sample(text, "metadata_http_requests_without_token_total") >= 10


def test_who_is_not_known_is_counted_by_the_reason(server):
    for source, status, reason in (("127.0.0.8", 503, "no-droplet"), ("127.0.0.9", 503, "no-port")):
        assert server.get("/metadata/v1/id", source)[0] == status
        counted = sample(of_server(server), "metadata_http_unknown_sources_total", reason=reason)
        assert counted == 1
    text = of_server(server)
    assert sample(text, "metadata_http_unsure_total") == 0
    assert sample(text, "metadata_http_view_age_seconds") < 60
    assert sample(text, "metadata_http_droplets") == 1


def test_the_registry_s_commits_and_size_are_told(rest):
    before = of_controller(rest)
    assert rest.request("PUT", "/v1/droplets/7", droplet(hostname="again")).status == 200
    after = of_controller(rest)
    name = "ovs_metadata_registry_commit_seconds_count"
    assert sample(after, name) == sample(before, name) + 1
    assert sample(after, "ovs_metadata_registry_bytes") > 4096
    assert sample(after, "ovs_metadata_registry_writable") == 1
