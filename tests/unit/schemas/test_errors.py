"""The error tree: drawn as it is, one code each, and rebuilt from what is stored of it."""

from __future__ import annotations

import re

import pytest

from tunesmith.schemas import errors
from tunesmith.schemas.errors import TunesmithError, error_of

KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TunesmithError)
]


def test_the_drawing_names_every_error_with_its_code():
    drawn = dict(re.findall(r"[├└]── (\w+)\s+(\w+)", errors.__doc__))
    assert drawn == {kind.__name__: kind.code for kind in KINDS if kind is not TunesmithError}


def test_codes_are_unique_and_docstrings_say_what_they_stand_for():
    assert len({kind.code for kind in KINDS}) == len(KINDS)
    assert all(kind.__doc__.endswith(".") for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_error_comes_back_as_its_own_kind(kind):
    error = error_of(kind.code, "what", "next")
    assert type(error) is kind
    assert str(error) == f"{kind.code}: what next"


def test_an_unknown_code_is_kept():
    assert error_of("from_the_future", "what", "next").code == "from_the_future"
