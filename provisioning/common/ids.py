"""Ids of sites and gates: opaque, permanent, never given twice, with a check character for whoever types one.

A prefix, seven random characters and one by ISO 7064, mod 37-2, which finds
each wrong character and each exchange of two neighbours (mod 37,36 misses some). No i, l, o or u:
they are misread on a label.
"""

from __future__ import annotations

import secrets
from typing import Final

from stdnum.exceptions import ValidationError
from stdnum.iso7064 import mod_37_2

from provisioning.common.errors import Refused

ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM: Final = 7
SITE: Final = "s"
GATE: Final = "g"


def new_id(prefix: str) -> str:
    """A new id, such as ``g4k7m2xp9``."""
    while True:
        body = prefix + "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM))
        check = mod_37_2.calc_check_digit(body.upper()).lower()
        if check in ALPHABET:
            return body + check


def checked(text: str, prefix: str) -> str:
    """The id that somebody typed, in small letters and without blanks. Raises Refused (E110) for one that was never given out so."""
    found = text.strip().lower().replace(" ", "")
    try:
        right = found.startswith(prefix) and len(found) == len(prefix) + _RANDOM + 1 and set(found[1:]) <= set(ALPHABET)
        if right:
            mod_37_2.validate(found.upper())
    except ValidationError:
        right = False
    if not right:
        raise Refused("E110", id=text)
    return found
