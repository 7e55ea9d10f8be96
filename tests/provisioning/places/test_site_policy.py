"""A site's policy: checked by the gate's own parser, before any card carries it."""

from __future__ import annotations

import pytest

from device.config import PolicySection
from device.core.rules import ListUse
from provisioning.places.site_policy import DEFAULT_POLICY, lists_of, policy_tree


def test_a_site_that_says_nothing_refuses_revoked_badges() -> None:
    """And nobody as long as there is no list of them."""
    assert policy_tree("  \n") == policy_tree(DEFAULT_POLICY)
    assert lists_of("") == {"revoked": ListUse.STATUS}
    assert policy_tree("")["policy"]["lists"][0]["on_missing"] == "ignore"


def test_the_lists_of_a_policy_are_told_with_their_use() -> None:
    """A policy without lists has none: it has decided so."""
    text = '[policy]\nlists = [{ name = "workers", use = "allow" }, { name = "bad", use = "deny" }]'
    assert lists_of(text) == {"workers": ListUse.ALLOW, "bad": ListUse.DENY}
    assert lists_of("[policy]\ncapacity = 4") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[policy", "not TOML"),
        ("[camera]\nsource = 'x'", "camera: a site decides only"),
        ("[journal]\npath = '/x'", "journal.path: a site decides only"),
        ("[policy]\ncapacity = -1", "policy.capacity"),
        ("[policy]\ncolour = 'red'", "policy.colour: no such key"),
    ],
)
def test_a_policy_with_which_no_gate_would_start_says_where_and_why(text: str, why: str) -> None:
    """Before it is kept."""
    with pytest.raises(ValueError, match=r".") as refused:
        policy_tree(text)
    assert why in str(refused.value)


def test_a_site_that_says_nothing_takes_the_badges_that_it_is_given() -> None:
    """The test codes of an acceptance are badges: with a policy that takes none, no gate of the site could ever be accepted."""
    accept = policy_tree("")["policy"]["accept"]
    assert "site_badge" in accept
    assert {kind.value for kind in PolicySection().accept} < set(accept)
