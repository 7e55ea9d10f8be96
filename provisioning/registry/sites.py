"""Sites as people describe them: checked before they become rows, and changed field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from provisioning.common.errors import Refused
from provisioning.common.ids import SITE, new_id
from provisioning.places.communes import VERSION, commune
from provisioning.places.kinds import SiteKind
from provisioning.places.site_policy import policy_tree
from provisioning.registry.registry import Registry
from provisioning.registry.tables import Site

AT_GATES: Final = frozenset({"policy", "purpose", "legal_basis", "broker_host", "broker_port"})
"""What a gate in service has on its card, and can be sent anew."""
BROKER: Final = frozenset({"broker_host", "broker_port"})
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
_OPTIONS: Final = {"broker_host": "broker", "broker_port": "port"}


def _usable(policy: str) -> str:
    policy_tree(policy)
    return policy


def _addresses(text: str) -> str:
    return " ".join(str(IPv4Address(word)) for word in text.split())


class Network(BaseModel):
    """How a site's gates reach the broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["lan", "wifi", "4g"] = "lan"
    ssid: Annotated[str, StringConstraints(min_length=1, max_length=32)] | None = None
    apn: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.-]{1,100}$")] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = "VN"
    """Whose rules the radio keeps; until it is told, Raspberry Pi OS blocks it."""
    gateway: IPv4Address | None = None
    """For gates with an address of their own."""
    dns: Annotated[str, AfterValidator(_addresses)] = ""
    """Addresses of name servers, for the same gates, with blanks between them."""
    ssh: bool = True
    """Whether technicians may log in; a site may forbid it."""

    @model_validator(mode="after")
    def _of_its_kind(self) -> Network:
        if self.ssid is not None and self.kind != "wifi":
            raise ValueError("ssid: --network wifi")
        if self.apn is not None and self.kind != "4g":
            raise ValueError("apn: --network 4g")
        return self


class NewSite(BaseModel):
    """A site as somebody describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str | None = None
    name: Line
    kind: SiteKind
    commune: Line
    address: Line = "-"
    contact: Line
    hotline: Annotated[str, StringConstraints(pattern=r"^[+0-9 ().-]{3,40}$")]
    purpose: Line
    legal_basis: Line
    broker_host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]
    broker_port: Annotated[int, Field(ge=1, le=65_535)] = 8883
    network: Network = Network()
    policy: Annotated[str, AfterValidator(_usable)] = ""

    def row(self) -> Site:
        """The row, with an id of its own. Raises Refused (E111) for an unknown commune."""
        told = self.model_dump(exclude={"id", "commune", "network"}, mode="json")
        return Site(
            id=self.id or new_id(SITE),
            commune=commune(self.commune).code,
            commune_list=VERSION,
            network=self.network.model_dump(mode="json", exclude_none=True, exclude_defaults=True) | {"kind": self.network.kind},
            created=datetime.now(UTC),
            **told,
        )


def described(told: Mapping[str, Any]) -> Site:
    """A new row from what was said on the command line. Raises Refused: E133 naming the option, E111 for an unknown commune."""
    try:
        return NewSite.model_validate(told).row()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = _OPTIONS.get(str(first["loc"][0]), str(first["loc"][-1]).replace("_", "-"))
        raise Refused("E133", value=f"--{option}", why=first["msg"].removeprefix("Value error, ")) from error


def facts(site: Site) -> dict[str, Any]:
    """Everything that is known of a site but when it was noted."""
    return {column.name: getattr(site, column.name) for column in Site.__table__.columns if column.name != "created"}


def changes(site: Site, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What becomes different in a site when what is told, and not None, is so from now on. Raises Refused like ``described``."""
    before = {key: value for key, value in facts(site).items() if key != "commune_list"}
    new = described({**before, **{key: value for key, value in told.items() if value is not None}})
    return {key: value for key, value in facts(new).items() if value != getattr(site, key)}


def add_all(registry: Registry, new: Sequence[Site]) -> None:
    """Keep new sites: all of them, or none."""
    with registry.change() as session:
        session.add_all(new)


def change(registry: Registry, site: str, changed: Mapping[str, Any]) -> None:
    """Keep the changes of a site; its id stays."""
    with registry.change() as session:
        kept = session.get_one(Site, site)
        for key, value in changed.items():
            setattr(kept, key, value)
