"""What a code says: one module for each kind of code, and ``parse``, which asks them in order.

The order is part of the rule: a class that is tested earlier wins. Within a
class the test of its shape decides that a code is of it; whatever is wrong
after that is ``malformed``, never another class.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from device.core.credentials import citizen_card, foreign, health_insurance, national_qr, plausibility, signed
from device.core.credentials.text import read
from device.core.credentials.trust import NOBODY
from device.core.reasons import Reason
from device.core.types import Credential, Kind, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from device.core.credentials.text import Text
    from device.core.credentials.trust import Trust

_CLASSES: Final[tuple[Callable[[Text], Credential | Rejection | None], ...]] = (
    foreign.smart_health_card,
    foreign.travel_health_proof,
    foreign.payment,
    foreign.utility,
    foreign.address,
    health_insurance.parse,
    national_qr.parse,
    citizen_card.parse,
    citizen_card.bare_number,
)


def parse(payload: bytes, today: date | None = None, trust: Trust = NOBODY) -> Credential | Rejection:
    """What a code says, or why it is not taken. Never raises, whatever the bytes are.

    ``today`` is the date at the gate, None where the gate does not know it; it
    serves the warnings about dates in the future and nothing else. A bare
    number comes back as a credential: whether it counts is the site's choice.
    So does a signed code of ``trust``'s keys, whatever its dates.
    """
    text = read(payload)
    if isinstance(text, Rejection):
        return text
    vouched = signed.parse(text, trust)
    if vouched is not None:
        return vouched
    for take in _CLASSES:
        found = take(text)
        if isinstance(found, Credential):
            return replace(found, warnings=found.warnings + plausibility.warnings(found, today))
        if found is not None:
            return found
    return text.refuse(Kind.UNKNOWN, Reason.UNRECOGNISED)
