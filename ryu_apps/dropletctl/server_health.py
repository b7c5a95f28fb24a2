"""Asking a metadata server's admin address, and saying why there is no answer. Shell."""

import json
from collections.abc import Mapping
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

_SECONDS = 5.0


def ask(url: str) -> Mapping[str, Any] | str:
    """The JSON object at a URL; a text that says why there is none."""
    try:
        answer = urllib3.request("GET", url, timeout=_SECONDS, retries=False)
        told = json.loads(answer.data)
    except (HTTPError, OSError) as error:
        # urllib3 names its own objects; what the kernel said of the connection lies below.
        cause = error.__cause__ or getattr(error, "reason", None) or error
        return str(getattr(cause, "strerror", None) or cause)
    except ValueError:
        return f"HTTP {answer.status} and no JSON: that is another program"
    return told if isinstance(told, dict) else "no object: that is another program"
