"""What leaves a decision about a person: a keyed hash, and a document to be sealed.

The hash is the only identity that the gate keeps in the clear. Twelve digits
are soon tried out, so its worth rests on the site's key alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from device.core.types import Credential, SubjectClass

SITE_KEY_BYTES: Final = 32
"""Length of the site's key. A shorter one would make the hashes guessable, so it is refused."""

_PAYLOAD_DOMAIN: Final = "payload"
"""Stands where a subject's class stands, so that no payload hashes like a person."""


def subject(site_key: bytes, subject_class: SubjectClass, number: str) -> str:
    """The keyed hash by which the gate knows a person again: 64 lower-case hexadecimal digits.

    It is HMAC-SHA256 under the site's key of these bytes: the class's value
    (``citizen``, ``qid``, ``bhyt``) in ASCII, one NUL byte, the number in
    UTF-8 as it stands in the document. Lists of persons are made by the same
    rule. Raises ValueError where the key is not ``SITE_KEY_BYTES`` long.
    """
    return _keyed(site_key, subject_class.value, number.encode())


def payload_digest(site_key: bytes, payload: bytes) -> str:
    """The keyed hash of a refused payload: enough to see the same code again, not enough to learn what it held.

    HMAC-SHA256 under the site's key of ``payload`` in ASCII, one NUL byte and
    the bytes of the code, as 64 lower-case hexadecimal digits. Raises
    ValueError where the key is not ``SITE_KEY_BYTES`` long.
    """
    return _keyed(site_key, _PAYLOAD_DOMAIN, payload)


def identity_document(credential: Credential) -> bytes:
    """What is sealed for the province: number, name, birth date, sex and kind as compact JSON in UTF-8, and nothing else.

    What the code did not state is null. Personal data: to be sealed at once,
    never logged or stored as it is.
    """
    document = {
        "number": credential.number,
        "name": credential.name,
        "birth": credential.birth.text if credential.birth else None,
        "sex": credential.sex.value if credential.sex else None,
        "kind": credential.kind.value,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _keyed(site_key: bytes, domain: str, content: bytes) -> str:
    if len(site_key) != SITE_KEY_BYTES:
        raise ValueError(f"the site's key has {len(site_key)} bytes, not {SITE_KEY_BYTES}")
    return hmac.new(site_key, domain.encode("ascii") + b"\0" + content, hashlib.sha256).hexdigest()
