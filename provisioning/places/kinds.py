"""The kinds of place where gates stand: all that the province's order names, vehicles included."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from provisioning.common.catalogue import Lang


class SiteKind(StrEnum):
    """A kind of site."""

    OFFICE = "office"
    FACTORY = "factory"
    CONSTRUCTION = "construction"
    SCHOOL = "school"
    HOSPITAL = "hospital"
    PHARMACY = "pharmacy"
    HOTEL = "hotel"
    RESTAURANT = "restaurant"
    MARKET = "market"
    SUPERMARKET = "supermarket"
    BANK = "bank"
    STATION = "station"
    AIRPORT = "airport"
    PORT = "port"
    CHECKPOINT = "checkpoint"
    QUARANTINE = "quarantine"
    WORSHIP = "worship"
    SPORT = "sport"
    EVENT = "event"
    HOUSING = "housing"
    BUS = "bus"
    COACH = "coach"
    TAXI = "taxi"
    BOAT = "boat"


VEHICLES: Final = frozenset({SiteKind.BUS, SiteKind.COACH, SiteKind.TAXI, SiteKind.BOAT})
"""These move: their commune is where they are kept."""

_NAMES: Final = {
    SiteKind.OFFICE: ("cơ quan, công sở", "office"),
    SiteKind.FACTORY: ("nhà máy, khu công nghiệp", "factory"),
    SiteKind.CONSTRUCTION: ("công trường xây dựng", "construction site"),
    SiteKind.SCHOOL: ("trường học", "school"),
    SiteKind.HOSPITAL: ("cơ sở khám, chữa bệnh", "hospital or clinic"),
    SiteKind.PHARMACY: ("nhà thuốc", "pharmacy"),
    SiteKind.HOTEL: ("khách sạn, nhà nghỉ", "hotel"),
    SiteKind.RESTAURANT: ("nhà hàng, quán ăn", "restaurant"),
    SiteKind.MARKET: ("chợ", "market"),
    SiteKind.SUPERMARKET: ("siêu thị, cửa hàng", "supermarket or shop"),
    SiteKind.BANK: ("ngân hàng", "bank"),
    SiteKind.STATION: ("bến xe, nhà ga", "bus or railway station"),
    SiteKind.AIRPORT: ("sân bay", "airport"),
    SiteKind.PORT: ("cảng", "port"),
    SiteKind.CHECKPOINT: ("chốt kiểm soát", "checkpoint"),
    SiteKind.QUARANTINE: ("khu cách ly", "quarantine place"),
    SiteKind.WORSHIP: ("cơ sở tôn giáo, tín ngưỡng", "place of worship"),
    SiteKind.SPORT: ("cơ sở thể thao, giải trí", "sports or leisure"),
    SiteKind.EVENT: ("sự kiện, hội nghị", "event"),
    SiteKind.HOUSING: ("khu dân cư, chung cư", "housing estate"),
    SiteKind.BUS: ("xe buýt", "bus"),
    SiteKind.COACH: ("xe khách", "coach"),
    SiteKind.TAXI: ("taxi, xe hợp đồng", "taxi"),
    SiteKind.BOAT: ("tàu, thuyền", "boat"),
}


def name_of(kind: SiteKind, lang: Lang) -> str:
    """What people call it."""
    return _NAMES[kind][0 if lang is Lang.VI else 1]
