"""What leaves a decision about a person."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from device.core.credentials import parse
from device.core.identity import identity_document, payload_digest, subject
from device.core.types import Credential, SubjectClass
from device.workbench.people import citizen_card, national_qr, people, seeded

KEY = bytes(range(32))


def test_subject_is_the_documented_keyed_hash() -> None:
    """Lists of persons are made elsewhere by the same rule, so it may never change: class, NUL, number under HMAC-SHA256."""
    by_hand = hmac.new(KEY, b"citizen\x00064090001234", hashlib.sha256).hexdigest()
    assert subject(KEY, SubjectClass.CITIZEN, "064090001234") == by_hand
    assert by_hand == "361e2a60468e43f3ee999b28f318c30b5d1e1c92e68d20ade57ed1e97541b73b"


def test_subject_differs_by_key_class_and_number() -> None:
    """The same digits at another site, in another class, or one digit apart are another subject."""
    one = subject(KEY, SubjectClass.HEALTH_INSURANCE, "6400012345")
    others = {
        subject(KEY[::-1], SubjectClass.HEALTH_INSURANCE, "6400012345"),
        subject(KEY, SubjectClass.NATIONAL_QR, "6400012345"),
        subject(KEY, SubjectClass.HEALTH_INSURANCE, "6400012346"),
    }
    assert len({one, *others}) == 4


def test_card_and_plain_national_code_of_one_person_are_one_subject() -> None:
    """Who shows the card at one time and the telephone at another is the same person."""
    (person,) = people(1, seeded(1))
    found = [parse(citizen_card(person)), parse(national_qr(person, masked=False))]
    subjects = {subject(KEY, each.subject_class, each.number) for each in found if isinstance(each, Credential)}
    assert len(found) == 2
    assert len(subjects) == 1


def test_payload_is_never_hashed_like_a_person() -> None:
    """A refused code that holds somebody's number gives no hash that any list of persons holds."""
    digest = payload_digest(KEY, b"064090001234")
    assert digest not in {subject(KEY, each, "064090001234") for each in SubjectClass}
    assert "payload" not in {each.value for each in SubjectClass}
    assert digest == hmac.new(KEY, b"payload\x00064090001234", hashlib.sha256).hexdigest()


@pytest.mark.parametrize("key", [b"", b"short", bytes(31), bytes(33)])
def test_key_of_another_length_is_refused(key: bytes) -> None:
    """Without a whole key the hash of a twelve-digit number is soon tried out."""
    with pytest.raises(ValueError, match=f"has {len(key)} bytes, not 32"):
        subject(key, SubjectClass.CITIZEN, "064090001234")
    with pytest.raises(ValueError, match="not 32"):
        payload_digest(key, b"x")


def test_sealed_document_holds_five_things_and_nothing_else() -> None:
    """Address, old number, day of issue and parents are not in it; letters stand as they are."""
    found = parse("064190001235|230123456|Rơ Châm H'Blui|05021990|Nữ|Làng Ốp|22122021|x|y|z|w".encode())
    assert isinstance(found, Credential)
    expected = '{"number":"064190001235","name":"Rơ Châm H\'Blui","birth":"1990-02-05","sex":"female","kind":"citizen_card"}'
    assert identity_document(found) == expected.encode()


def test_what_the_code_did_not_state_is_null() -> None:
    """A bare number gives a document of the same form."""
    found = parse(b"064190001235")
    assert isinstance(found, Credential)
    document = json.loads(identity_document(found))
    assert document == {"number": "064190001235", "name": None, "birth": None, "sex": None, "kind": "bare_number"}
