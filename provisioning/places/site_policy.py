"""A site's policy: the part of its gates' configuration that the site decides itself, checked before any card carries it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from device import config as configuration
from device.core.rules import ListUse
from device.errors import ConfigError
from device.settings.desired import forbidden

DEFAULT_POLICY: Final = """\
[policy]
accept = ["citizen_card", "national_qr", "health_insurance", "site_badge"]
lists = [{ name = "revoked", use = "status", on_missing = "ignore" }]"""
"""For a site that says nothing: cards and the site's own badges pass, the test codes of an acceptance among them; badges that were
revoked are refused, as soon as there is a list of them."""
SECTIONS: Final = ("policy", "journal")
"""What a site may decide; everything else in a gate's configuration comes from the registry."""
_STANDS: Final[Mapping[str, Any]] = {
    "gate": {"id": "any", "site": "any"},
    "camera": {"source": "picamera2"},
    "privacy": {"site_key": "key"},
}
"""What a configuration cannot do without, so that the rest can be checked."""


def policy_tree(text: str) -> Mapping[str, Any]:
    """A policy's sections, as a gate reads them; the default one for an empty text.

    Raises ValueError, saying where and what, for anything with which a gate would not start.
    """
    try:
        tree = tomllib.loads(text.strip() or DEFAULT_POLICY)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from error
    foreign = next((name for name in tree if name not in SECTIONS), None) or forbidden(tree)
    if foreign is not None:
        raise ValueError(f"{foreign}: a site decides only {' and '.join(f'[{name}]' for name in SECTIONS)}, and no paths")
    try:
        configuration.parse({**_STANDS, **tree}, "policy")
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return tree


def lists_of(text: str) -> Mapping[str, ListUse]:
    """The lists that a policy names, and what each is for. Raises ValueError like `policy_tree`."""
    named = policy_tree(text).get("policy", {}).get("lists", [])
    return {str(one["name"]): ListUse(one["use"]) for one in named}
