"""What looks like a secret never leaves in an error."""

from __future__ import annotations

import pytest

from tunesmith.server.secrets import MASK, mask, mask_argument

SECRETS = [
    "hf_" + "AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "sk-" + "proj-abcdefghijklmnop1234",
    "ghp_" + "abcdefghijklmnopqrst1234567890",
    "github_pat_" + "11ABCDEFG0abcdefghijkl",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "xoxb-" + "1234567890-abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_known_kinds_of_secrets_are_masked_within_text(secret):
    text = mask(f"could not use {secret} here")
    assert secret not in text
    assert MASK in text


def test_an_argument_that_is_random_enough_is_masked_although_no_known_kind():
    assert mask_argument("value q8Zk2mN5vR7tY1uI3oP9aS4dF6gH0jK2x") == f"value {MASK}"


def test_the_password_in_an_address_is_masked():
    assert "hunter2" not in mask("https://user:hunter2@example.org/x")


@pytest.mark.parametrize(
    "text", ["learning_rate = 0.001", "ds-abcdefghijklmnop", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"]
)
def test_ordinary_values_are_left_alone(text):
    assert mask_argument(text) == text
