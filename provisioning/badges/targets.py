"""The four test codes of a site: what a gate must take, and three that it must refuse, each for another reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from provisioning.authority.creation import BADGE_KID
from provisioning.badges.batch import REASON_LIMIT, issue
from provisioning.badges.issuer import BadgeIssuer
from provisioning.registry.tables import Badge, Site

DAYS: Final = 60
"""For so long the good code is good."""
GOOD: Final = "good"
EXPIRED: Final = "expired"
REVOKED: Final = "revoked"
FOREIGN: Final = "foreign"


@dataclass(frozen=True, slots=True)
class Targets:
    """The texts of the codes by name, and the two badges that the registry has to know."""

    codes: Mapping[str, str]
    rows: Sequence[Badge]


def targets(site: Site, key: Ed25519PrivateKey, labels: Mapping[str, str], now: datetime) -> Targets:
    """New ones: signed by the province's ``key``, but for the foreign one.

    ``labels`` has what the registry calls the good badge, and the revoked one.
    """
    ours, stranger = BadgeIssuer(key, BADGE_KID), BadgeIssuer(Ed25519PrivateKey.generate(), BADGE_KID + 1)
    ends = now + timedelta(days=DAYS)
    (good, good_text), (gone, gone_text) = issue(site, [labels[GOOD], labels[REVOKED]], ends, 0, 0, ours)
    gone.revoked, gone.reason = now, labels[REVOKED][:REASON_LIMIT]
    ((_, old_text),) = issue(site, ["-"], now - timedelta(days=1), 0, 0, ours)
    ((_, foreign_text),) = issue(site, ["-"], ends, 0, 0, stranger)
    return Targets({GOOD: good_text, EXPIRED: old_text, REVOKED: gone_text, FOREIGN: foreign_text}, [good, gone])
