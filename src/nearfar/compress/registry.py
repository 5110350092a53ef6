"""Every codec by its name."""

from __future__ import annotations

from nearfar.compress.codec import Kind

CODECS: dict[str, Kind] = {}
