"""What counts as known already, while reports and the watch stream overtake each other."""

import json

from metadata_http.reports import Reports
from metadata_http.view import Droplet


def droplet(**document):
    return Droplet(7, json.dumps(document), None)


RUNNING, STOPPED = {"dotty_status": "running"}, {"dotty_status": "stopped"}


def test_the_stream_brings_back_an_older_report_after_a_newer_was_kept():
    reports, before = Reports("0" * 16, [], lambda: 0.0), droplet()
    reports._remember("binding", before, RUNNING)
    reports._remember("binding", before, STOPPED)
    assert reports._is_known("binding", before, STOPPED)
    assert not reports._is_known("binding", before, RUNNING)
    older = droplet(**RUNNING)
    assert not reports._is_known("binding", older, RUNNING)
    newest = droplet(**STOPPED)
    assert reports._is_known("binding", newest, STOPPED)
    assert reports._is_known("another binding", older, RUNNING)


def test_a_part_that_was_kept_says_nothing_of_the_others():
    reports, before = Reports("0" * 16, [], lambda: 0.0), droplet(ssh_info={"port": 22})
    reports._remember("binding", before, RUNNING)
    assert reports._is_known("binding", before, {**RUNNING, "ssh_info": {"port": 22}})
    assert not reports._is_known("binding", before, {**RUNNING, "ssh_info": {"port": 23}})
    after = droplet(ssh_info={"port": 22}, **RUNNING)
    assert reports._is_known("binding", after, {"ssh_info": {"port": 22}})


def test_what_is_remembered_is_bounded():
    reports = Reports("0" * 16, [], lambda: 0.0)
    for n in range(10_000):
        reports._remember(n, droplet(), RUNNING)
    assert len(reports._kept) == 4096
