"""Codes that carry a signature: site badge, phone code, health certificate; and the commissioning order, which is read elsewhere.

Each is recognised by its prefix and verified offline with public keys. A gate
that holds no key for a kind says so, instead of calling the code forged.
Whether a good code is valid now is left to the rules, which know the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from device.core.credentials import badge, health_certificate
from device.core.credentials.cbor import BadCbor
from device.core.credentials.cose import base45_bytes, is_signed_by, split_sign1
from device.core.credentials.trust import KeyUse
from device.core.reasons import Reason
from device.core.types import Credential, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from device.core.credentials.cose import Sign1
    from device.core.credentials.text import Text
    from device.core.credentials.trust import Trust, TrustedKey
    from device.core.types import Rejection

COMMISSIONING_PREFIX: Final = "GC1:"

_READERS: Final[dict[str, tuple[Kind, KeyUse, Callable[[bytes], bytes], Callable[[Sign1, TrustedKey], Credential]]]] = {
    badge.BADGE_PREFIX: (Kind.SITE_BADGE, KeyUse.BADGES, bytes, badge.site_badge),
    badge.PHONE_PREFIX: (Kind.PHONE_CODE, KeyUse.BADGES, bytes, badge.phone_code),
    health_certificate.PREFIX: (Kind.HEALTH_CERTIFICATE, KeyUse.HEALTH, health_certificate.inflate, health_certificate.certificate),
}
"""By prefix: the kind, whose keys count, how the bytes are packed, and what is read of a token that is verified."""


def parse(text: Text, trust: Trust) -> Credential | Rejection | None:
    """The holder of a signed code, or why it does not count; None for any other code.

    The prefixes are upper case only: Base45 has no lower case.
    """
    if text.nfc.startswith(COMMISSIONING_PREFIX):
        return text.refuse(Kind.COMMISSIONING_ORDER, Reason.NOT_ENABLED)
    for prefix, (kind, use, unpack, read) in _READERS.items():
        if text.wire.startswith(prefix):
            if not trust.uses(use):
                return text.refuse(kind, Reason.NOT_ENABLED)
            try:
                token = split_sign1(unpack(base45_bytes(text.wire.removeprefix(prefix))))
                found = _verified(token, use, trust, read)
            except BadCbor:
                return text.refuse(kind, Reason.MALFORMED)
            return found if isinstance(found, Credential) else text.refuse(kind, found)
    return None


def _verified(token: Sign1, use: KeyUse, trust: Trust, read: Callable[[Sign1, TrustedKey], Credential]) -> Credential | Reason:
    """Nothing of the content is looked at before the signature is good. The key that lasts longest speaks, where two fit."""
    named = trust.named(use, token.kid)
    if not named:
        return Reason.UNKNOWN_ISSUER
    good = [key for key in named if is_signed_by(token, key.key)]
    return read(token, max(good, key=lambda key: key.not_after_s)) if good else Reason.BAD_SIGNATURE
