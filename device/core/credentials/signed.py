"""Codes that carry a signature: site badge, phone code, commissioning order, health certificate.

They are recognised by their prefix alone. A gate that holds no key for them
refuses them all alike; the one that does verifies them here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.core.reasons import Reason
from device.core.types import Kind

if TYPE_CHECKING:
    from device.core.credentials.text import Text
    from device.core.types import Rejection

PREFIXES: Final = {
    "G1:": Kind.SITE_BADGE,
    "G2:": Kind.PHONE_CODE,
    "GC1:": Kind.COMMISSIONING_ORDER,
    "HC1:": Kind.HEALTH_CERTIFICATE,
}
"""How each begins. Upper case only: the alphabet of Base45, in which they are written, has no lower case."""


def parse(text: Text) -> Rejection | None:
    """The refusal of a signed code that is not enabled; None for any other code."""
    for prefix, kind in PREFIXES.items():
        if text.nfc.startswith(prefix):
            return text.refuse(kind, Reason.NOT_ENABLED)
    return None
