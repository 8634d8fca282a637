"""Personal data, and numbers that are none."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.text_checks import text_kinds

EMAIL = [
    "jane.doe@example.com",
    "write to bob+spam@mail.co.uk.",
    "Mail: <a.b@uni-bonn.de>",
    "müller@firma.de",
]
NO_EMAIL = [
    "icon@2x.png",
    "@property",
    "git@github.com:a/b.git",
    "a @ b",
    "user@host",
    "npm i @babel/core@7.1.0",
    "5 @ $3.50",
]

PHONE = [
    "Call 555-123-4567.",
    "(212) 555-0199",
    "+44 20 7946 0958",
    "+1-800-555-0199",
    "+4915123456789",
    "tel: 030 1234567",
    "phone 5550123456",
    "1-800-555-1234",
    "call me at 020 7946 0018",
    "212.555.0187",
    "my number: +91 98765 43210",
    "06 12 34 56 78",
    "WhatsApp +34 612 345 678",
    "Mobile: 07700 900123",
    "Phone: 555-0123",
]
NO_PHONE = [
    "2021-03-04",
    "the year 1999 - 2004",
    "3.14159265",
    "ISBN 978-3-16-148410-0",
    "1,234,567",
    "12345 - 6789 = 5556",
    "order 123456789",
    "10.0.0.1",
    "192.168.100.200",
    "2 + 2222222222",
    "in 2020 2021 2022",
    "coordinates 40.7128, -74.0060",
    "call the function 3 times",
    "text 2 was written in 1984",
    "2023-10-05 12:30:45",
    "0.123 4567 8901",
    "100-200-3000 range",
    "1-2-3-4-5-6-7",
    "call f(1000000)",
    "version 1.2.3.4567",
    "ratio 123/4567/8901",
    "timestamp 1633036800",
]

CREDIT_CARD = [
    "4111111111111111 is my card",
    "5500 0000 0000 0004",
    "3782-822463-10005",
    "card number: 6011000990139424",
    "Visa 4012-8888-8888-1881",
    "3714 496353 98431",
]
NO_CREDIT_CARD = [
    "1234 5678 9012 3456",
    "4111 1111 1111 1112",
    "0000 0000 0000 0000",
    "1111111111111111",
    "pi 3.1415926535897932384",
    "2^53 = 9007199254740992",
]

NATIONAL_ID = [
    "SSN 123-45-6789",
    "219-09-9999",
    "CPF 529.982.247-25",
    "DNI 12345678Z",
    "NINO AB 12 34 56 C",
    "AB123456C",
    "social security number: 123 45 6789",
    "RSSMRA85T10A562S",
    "11010519491231002X",
]
NO_NATIONAL_ID = [
    "000-12-3456",
    "123-456-7890",
    "12345678A",
    "2021-03-04",
    "A1B2C3",
    "ZIP 12345-6789",
    "part no. 12345678",
    "111.111.111-11",
]

IBAN = [
    "DE89370400440532013000",
    "GB82 WEST 1234 5698 7654 32",
    "IBAN: FR14 2004 1010 0505 0001 3M02 606 AND MORE",
    "NL91ABNA0417164300",
]
NO_IBAN = [
    "DE00370400440532013000",
    "AB12CDEF34567890",
    "GB82 WEST",
]

IP_ADDRESS = [
    "login from 203.0.113.45",
    "81.2.69.142",
    "2001:db8:85a3::8a2e:370:7334",
    "IP: 84.23.1.9",
]
NO_IP_ADDRESS = [
    "192.168.1.1",
    "127.0.0.1",
    "version 10.4.2.1",
    "1.2.3.4",
    "999.1.1.1",
    "12:30:45",
    "std::vector",
    "255.255.255.0",
    "section 1.2.3.12",
    "a::b",
    "8.8.8.8",
]


@pytest.mark.parametrize("text", EMAIL)
def test_email_is_found(text: str) -> None:
    assert "email" in text_kinds(text)


@pytest.mark.parametrize("text", NO_EMAIL)
def test_email_is_not_seen_where_there_is_none(text: str) -> None:
    assert "email" not in text_kinds(text)


@pytest.mark.parametrize("text", PHONE)
def test_phone_is_found(text: str) -> None:
    assert "phone" in text_kinds(text)


@pytest.mark.parametrize("text", NO_PHONE)
def test_phone_is_not_seen_where_there_is_none(text: str) -> None:
    assert "phone" not in text_kinds(text)


@pytest.mark.parametrize("text", CREDIT_CARD)
def test_credit_card_is_found(text: str) -> None:
    assert "credit_card" in text_kinds(text)


@pytest.mark.parametrize("text", NO_CREDIT_CARD)
def test_credit_card_is_not_seen_where_there_is_none(text: str) -> None:
    assert "credit_card" not in text_kinds(text)


@pytest.mark.parametrize("text", NATIONAL_ID)
def test_national_id_is_found(text: str) -> None:
    assert "national_id" in text_kinds(text)


@pytest.mark.parametrize("text", NO_NATIONAL_ID)
def test_national_id_is_not_seen_where_there_is_none(text: str) -> None:
    assert "national_id" not in text_kinds(text)


@pytest.mark.parametrize("text", IBAN)
def test_iban_is_found(text: str) -> None:
    assert "iban" in text_kinds(text)


@pytest.mark.parametrize("text", NO_IBAN)
def test_iban_is_not_seen_where_there_is_none(text: str) -> None:
    assert "iban" not in text_kinds(text)


@pytest.mark.parametrize("text", IP_ADDRESS)
def test_ip_address_is_found(text: str) -> None:
    assert "ip_address" in text_kinds(text)


@pytest.mark.parametrize("text", NO_IP_ADDRESS)
def test_ip_address_is_not_seen_where_there_is_none(text: str) -> None:
    assert "ip_address" not in text_kinds(text)
