"""How much hypothesis tries: bounded by default, more where EXAMPLES says so.

EXAMPLES=50 python -m pytest tests/property      # fifty times as many examples
"""

import os

from hypothesis import HealthCheck, settings


def effort(examples: int) -> settings:
    """Settings for a test that tries `examples` examples in an ordinary run. No time limits."""
    return settings(
        max_examples=examples * int(os.environ.get("EXAMPLES", "1")),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
