"""The sign of each outcome and state, in each set of signs.

Layer: service.
"""

from __future__ import annotations

from collections.abc import Mapping

_ORDER = ("passed", "failed", "errored", "skipped", "cancelled", "running", "waiting", "unknown")
_SETS = {
    "ascii": "P F E S C r . -",
    "unicode": "✓ ✗ ! » ⊘ ▸ ◌ -",
    "emoji": "✅ ❌ 💥 ⏭ 🚫 🏃 ⏳ -",
}


def signs(glyphs: str) -> Mapping[str, str]:
    """Return the sign of each outcome and state by its name; `glyphs` is a value of `limmat.glyphs`."""
    return dict(zip(_ORDER, _SETS.get(glyphs, _SETS["unicode"]).split(), strict=True))
