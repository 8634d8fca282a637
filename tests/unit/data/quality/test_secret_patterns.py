"""Keys and passwords, and text about them."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.text_checks import text_kinds

SECRET = [
    "aws_access_key_id = AKIAQWERTYUIOP123456",
    "token: ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "export HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "sk-proj-Abc123Def456Ghi789Jkl012Mno345",
    "sk-ant-api03-AbCdEf123456_7890abcdef-XYZ",
    "xoxb-123456789012-abcdefghijkl",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    "postgres://admin:S3cretPw@db.internal:5432/app",
    "password=hunter2!",
    "The password is hunter2",
    'api_key: "9f8e7d6c5b4a39281706"',
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
    "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    "Passwort? password: Tr0ub4dor&3",
    "mongodb+srv://bob:p4ssw0rd@cluster0.mongodb.net/",
    'client_secret = "GOCSPX-abcdefghijklmnopqrstuvwx"',
    "DB_PASSWORD=Xk29dkQp",
    "glpat-AbCdEfGhIjKlMnOpQrSt",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "My login: bob / pwd: qwerty123",
]
NO_SECRET = [
    "uuid 123e4567-e89b-12d3-a456-426614174000",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    'password = input("Enter your password")',
    "Password: at least 8 characters",
    "password: string",
    "use sk-learn-contrib-extension for it",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA",
    "The key is to use 12 eggs",
    "max_tokens=1024",
    "postgres://user:password@localhost/db",
    "the secret: patience",
    "api_key=YOUR_API_KEY",
    'password=os.environ["DB"]',
    "token = tokens[0]",
    "The secret is 3 cups of flour",
    "key: value",
    '{"token": "the", "id": 12}',
    "password = user.password2",
    "the monkey = 12345678",
    "secret_key = get_key()",
    "Each token is a word",
]


@pytest.mark.parametrize("text", SECRET)
def test_secret_is_found(text: str) -> None:
    assert "secret" in text_kinds(text)


@pytest.mark.parametrize("text", NO_SECRET)
def test_secret_is_not_seen_where_there_is_none(text: str) -> None:
    assert "secret" not in text_kinds(text)
