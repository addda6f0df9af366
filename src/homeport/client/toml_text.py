"""The one TOML value that the client writes: a string."""

from __future__ import annotations

import json


def toml_string(text: str) -> str:
    """`text` as a TOML basic string. Raises UnicodeEncodeError for what UTF-8 cannot hold."""
    text.encode("utf-8")
    # JSON's strings are TOML's but for two things: TOML knows no surrogate pairs, and DEL must be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
