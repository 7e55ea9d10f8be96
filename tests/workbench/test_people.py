"""Made people: nobody's data, and like real ones where it counts."""

from __future__ import annotations

import unicodedata
from collections import Counter
from random import Random

from device.core.types import PAYLOAD_LIMIT_BYTES, Sex
from device.workbench.foreign_codes import foreign_codes
from device.workbench.people import PAPERS, citizen_card, national_qr, people, seeded
from device.workbench.symbols import modules

PEOPLE = people(400, seeded(1))


def test_same_seed_gives_the_same_people() -> None:
    """A failure seen once can be seen again."""
    assert people(20, seeded(3)) == people(20, seeded(3))
    assert people(20, seeded(3)) != people(20, seeded(4))
    assert foreign_codes(seeded(3)) == foreign_codes(seeded(3))


class NarrowChance(Random):
    """A generator that draws its numbers from very few."""

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """One of the first three numbers of the range."""
        del stop, step
        return super().randrange(min(start, 3))


def test_number_that_is_drawn_twice_is_given_once() -> None:
    """Where chance repeats itself, the second person of a number is left out and another is made."""
    assert len({person.number for person in people(25, NarrowChance(1))}) == 25


def test_no_two_people_share_a_number() -> None:
    """Each is a subject of their own, on whatever paper."""
    for numbers in ([p.number for p in PEOPLE], [p.insurance_number for p in PEOPLE], [p.qid for p in PEOPLE]):
        assert len(set(numbers)) == len(PEOPLE)


def test_names_are_of_all_four_peoples_and_composed() -> None:
    """Kinh, Jrai, Bahnar and Ê Đê names, among them letters that have no composed form, all in NFC."""
    names = [person.name for person in PEOPLE]
    assert all(unicodedata.is_normalized("NFC", name) for name in names)
    for mark in ("Nguyễn ", "Rơ Châm ", "Đinh ", "Niê", "H'", "\u2019", "Ƀ"):
        assert any(mark in name for name in names), mark
    assert any(unicodedata.combining(char) for name in names for char in name)
    assert len(set(names)) > 150


def test_numbers_follow_the_structure() -> None:
    """Province, sex and century, year of birth, six digits."""
    for person in PEOPLE:
        assert len(person.number) == 12
        assert person.number[4:6] == f"{person.birth.year % 100:02}"
        assert int(person.number[3]) == (0 if person.birth.year < 2000 else 2) + (person.sex is Sex.FEMALE)
    assert Counter(person.number[:3] for person in PEOPLE).most_common(1)[0][0] == "064"


def test_papers_have_the_published_number_of_fields() -> None:
    """7, 11, 6, 17 and 10 fields, so no field holds a bar of its own."""
    for person in PEOPLE:
        assert [paper(person).count(b"|") + 1 for paper in PAPERS] == [7, 11, 6, 17, 10]


def test_masked_code_gives_away_neither_number_nor_day_of_birth() -> None:
    """As the apps show it: six stars for the first digits, stars for month and day."""
    for person in PEOPLE[:20]:
        number, _, born, *_ = national_qr(person).decode().split("|")
        assert (number, born) == ("******" + person.number[6:], f"{person.birth.year}-**-**")


def test_latin_names_are_capitals_without_marks() -> None:
    """The national code writes ASCII, whatever letters the name has."""
    assert all(person.latin_name.replace("\u2019", "'").isascii() for person in PEOPLE)
    assert all(person.latin_name == person.latin_name.upper() for person in PEOPLE)


def test_citizen_cards_make_symbols_of_the_size_of_real_ones() -> None:
    """Version 5 to 8, that is 37 to 49 modules."""
    assert {len(modules(citizen_card(person), "M", quiet=0)) for person in PEOPLE[:40]} <= {37, 41, 45, 49}


def test_foreign_codes_fit_a_symbol() -> None:
    """The one beyond the gate's limit is beyond no symbol's."""
    lengths = [len(code.payload) for code in foreign_codes(seeded(1))]
    assert PAYLOAD_LIMIT_BYTES < max(lengths) <= 2953
    assert min(lengths) > 0
