"""The calls about the service itself: is it alive, is it ready, its metrics, its description."""

from http import HTTPStatus

import webob

from ryu_apps.northbound import openapi
from ryu_apps.northbound.answers import json_answer
from ryu_apps.northbound.context import Call
from ryu_apps.northbound.problems import Problem
from ryu_apps.registry import jsontext


def healthz(_call: Call) -> webob.Response:
    """GET /healthz: the process answers."""
    return json_answer(b'{"status":"alive"}')


def readyz(call: Call) -> webob.Response:
    """GET /readyz: 200 when the registry is whole, takes writes and the controller listens."""
    reasons = list(call.context.ready())
    if not call.context.registry.is_writable():
        reasons.append("the registry takes no writes")
    if call.context.registry.damage is not None:
        reasons.append("the registry is damaged, see the log")
    if not call.context.registry.is_current():
        reasons.append("the registry is not heard of, so no droplet comes to a new port")
    if reasons:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "; ".join(reasons), reasons=reasons)
    return json_answer(b'{"status":"ready"}')


def metrics(call: Call) -> webob.Response:
    """GET /metrics: for Prometheus."""
    text, content_type = call.context.metrics.exposition()
    return webob.Response(body=text, headerlist=[("Content-Type", content_type)])


def openapi_json(_call: Call) -> webob.Response:
    """GET /v1/openapi.json: the description of all calls."""
    return json_answer(jsontext.encode(openapi.description()))
