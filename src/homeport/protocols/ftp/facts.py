"""Facts of MLST and MLSD: `type=file;size=5;...; name` (RFC 3659 section 7).

The one rule: a folder of 50,000 entries costs one short call an entry, so all that repeats is made once.
"""

from __future__ import annotations

# In the order in which they are sent and FEAT lists them.
FACT_ORDER = ("type", "size", "modify", "perm", "unique", "UNIX.mode")
ALL_FACTS = frozenset(FACT_ORDER)
