"""Where the desk finds a site's brokers."""

from __future__ import annotations

from pathlib import Path

import pytest

from device.edges.broker.tls import TlsFiles
from provisioning.broker.nodes import DESK, nodes
from provisioning.common.errors import Refused
from tests.provisioning.registry.rows import a_site

TLS = TlsFiles(Path("root.pem"), None, None)


def test_the_sites_own_broker_comes_first_and_the_others_have_its_port_unless_they_say() -> None:
    """All of them know the desk by one name."""
    found = nodes(a_site(broker_host="a.example.org", broker_port=8893), TLS, ["b.example.org", "c.example.org:8894"])
    assert [(peer.host, peer.port) for peer in found] == [("a.example.org", 8893), ("b.example.org", 8893), ("c.example.org", 8894)]
    assert {peer.client_id for peer in found} == {DESK}


@pytest.mark.parametrize("also", ["", ":8883", "host:x", "host:-1"])
def test_what_is_no_host_is_refused(also: str) -> None:
    """E133, with what was typed."""
    with pytest.raises(Refused) as refused:
        nodes(a_site(), TLS, [also])
    assert (refused.value.code, refused.value.facts["value"]) == ("E133", f"--also {also}")
