"""Where the province's desk finds the brokers of a site, and as whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from device.edges.broker.tls import TlsFiles
from device.edges.broker.values import Peer
from provisioning.common.errors import Refused
from provisioning.registry.tables import Site

DESK: Final = "desk"
"""The name by which a broker knows the province's desk."""


def nodes(site: Site, tls: TlsFiles, also: Sequence[str] | None = None) -> Sequence[Peer]:
    """A site's broker, then the other nodes of its cluster, ``HOST`` or ``HOST:PORT``. Raises Refused (E133).

    A cluster whose nodes keep what is retained each for itself is told at each of them.
    """
    first, others = Peer(site.broker_host, site.broker_port, tls, DESK, session_expiry_s=0), []
    for one in also or ():
        host, _, port = one.partition(":")
        if not host or (port and not port.isdecimal()):
            raise Refused("E133", value=f"--also {one}", why="HOST[:PORT]")
        others.append(replace(first, host=host, port=int(port or first.port)))
    return [first, *others]
