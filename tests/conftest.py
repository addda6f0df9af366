"""For all tests: properties are looked at with the same examples each time, and as slowly as the machine likes.

So the gate fails by what was changed, never by chance. `HYPOTHESIS_PROFILE=explore` looks at new examples.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("gate", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))
