"""Addresses of stores: what is read, what is refused, and that no password shows (row B37, B46)."""

from string import ascii_letters, digits
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.core.settings import Layer, build
from longshore.core.store_url import SCHEMES, parse_url
from longshore.errors import ConfigurationError


def refused(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    return str(caught.value)


@pytest.mark.parametrize(
    "scheme", [scheme for scheme in SCHEMES if scheme not in {"memory", "sqlite"}]
)
def test_every_server_scheme_is_read(scheme):
    url = parse_url(f"{scheme}://app:s%40f%2F%23e@db.example:5433/shop/x?sslmode=require&a=b%20c")
    assert (url.scheme, url.user, url.host, url.port) == (scheme, "app", "db.example", 5433)
    assert url.password is not None
    assert url.password.reveal() == "s@f/#e"
    assert url.path == "shop/x"
    assert url.query == {"sslmode": "require", "a": "b c"}


def test_other_shapes_of_addresses():
    assert parse_url("redis://h").port is None
    assert parse_url(" memory://\n").store == "memory"
    assert parse_url("rediss://[::1]:6379/2").host == "::1"
    assert parse_url("REDIS://H").reveal() == "redis://h"
    assert parse_url("sqlite:///a/b.db?synchronous=normal").path == "a/b.db"
    assert parse_url("sqlite:////srv/my%20jobs.db").path == "/srv/my jobs.db"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgress://app:hunter2@h/db", "Did you mean postgres"),
        ("http://app:hunter2@h/db", "no store serves"),
        ("hunter2", "starts with one of"),
        ("", "starts with one of"),
        ("postgresql://app:hunter2@/db", "no host"),
        ("redis:///0", "no host"),
        ("redis://:hunter2", "no host"),
        ("redis://h:hunter2/0", "port"),
        ("redis://h:0", "port"),
        ("redis://h:65536", "port"),
        ("redis://h:+1", "port"),
        ("redis://app:hunter2@h:", "port"),
        ("postgresql://app:hun@ter2@h/db", "%40"),
        ("postgresql://app:hun/ter2@h/db", "%2F"),
        ("postgresql://app:5432/ter2@h/db", "%2F"),  # else: host app, port 5432
        ("postgresql://app:5432?x=ter2@h/db", "%3F"),
        ("postgresql://app:hun#ter2@h/db", "%23"),
        ("postgresql://app:hun?ter2@h/db", "%3F"),
        ("postgresql://app:hun%ter2@h/db", "%25"),
        ("postgresql://app:hun%ffter2@h/db", "UTF-8"),
        ("postgresql://app:hun%00ter2@h/db", "control character"),
        ("postgresql://app:hun ter2@h/db", "space"),
        ("postgresql://app:hunter2@h\n/db", "control character"),
        ("mysql://h/db?hunter2", "name=value"),
        ("mysql://h/db?a=1&a=hunter2", "twice"),
        ("memory://hunter2", "nothing may follow"),
        ("sqlite:///", "no file"),
        ("sqlite:///folder/", "no file"),
        ("sqlite://jobs.db", "three slashes"),
        ("sqlite:///:memory:", "memory://"),
        ("sqlite://:memory:", "memory://"),
        ("sqlite::memory:", "memory://"),
        ("sqlite:///x?mode=memory", "memory://"),
        ("sqlite:///file:x", "memory://"),
    ],
)
def test_a_bad_address_says_why_and_is_never_repeated(url, says):
    message = refused(url)
    assert says in message
    assert "ter2" not in message


@given(st.text(ascii_letters + digits + "@/#?:%&=+ é\"'", min_size=6))
def test_a_password_is_read_back_and_never_shown(password):
    secret = f"zq{password}qz"
    url = parse_url(f"postgresql://app:{quote(secret, safe='')}@db:5432/shop?sslpassword=zqq")
    assert url.password is not None
    assert url.password.reveal() == secret
    assert parse_url(url.reveal()) == url
    settings = build([Layer("arguments", {"store": url})])
    for text in (str(url), repr(url), repr(settings), str(settings.rows()), repr(url.password)):
        assert "zq" not in text
    assert "zq" not in repr(url.__rich_repr__())
    with pytest.raises(TypeError):
        msgspec.json.encode(url)


@given(st.text(min_size=3, max_size=50))
def test_a_password_that_is_not_encoded_is_never_repeated(password):
    try:
        said = str(parse_url(f"redis://app:zq{password}qz@db:6379/0"))
    except ConfigurationError as error:
        said = str(error)
    assert said.startswith(("redis://app:***@db:6379/0", "store: a store's address redis://***"))
    assert "zq" not in said
