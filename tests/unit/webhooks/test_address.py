"""Where a webhook may lead: dozens of spellings of what it may not, names that change, and what the operator allows."""

from __future__ import annotations

import asyncio
import socket
import threading
from ipaddress import ip_address

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from claudebench.errors import SettingsError
from claudebench.webhooks import address as address_module
from claudebench.webhooks.address import Allowed, Refused, Resolver, Target, addresses_of, target_of, unfit

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
NOBODY = Allowed()


class Names:
    """A resolver whose answers a test gives, one after the other; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        """Take the answers."""
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        """Answer."""
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


async def reached(url: str, allowed: Allowed = NOBODY, names: Names | None = None) -> list[str]:
    """Return the addresses that a URL may be reached at."""
    return await addresses_of(target_of(url), allowed, names or Names([PUBLIC]))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTPS://Example.COM/A?b=c", Target("https", "example.com", 443, "/A?b=c")),
        ("https://example.com.:8443/", Target("https", "example.com", 8443, "/")),
        ("https://example.com?x=https://127.0.0.1/", Target("https", "example.com", 443, "/?x=https://127.0.0.1/")),
        ("https://xn--bcher-kva.example/%20", Target("https", "xn--bcher-kva.example", 443, "/%20")),
        (f"https://[{PUBLIC_6}]:444/", Target("https", PUBLIC_6, 444, "/")),
        (f"http://{PUBLIC}/", Target("http", PUBLIC, 80, "/")),
        ("https://a_b.example/@x", Target("https", "a_b.example", 443, "/@x")),
    ],
)
def test_a_url_is_taken_apart(url: str, target: Target) -> None:
    """Scheme and host count in small letters, a last dot does not, and path and query stay as they are."""
    assert target_of(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "https:example.com",
        "https:/example.com",
        "https:///example.com",
        "https://",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript://example.com/",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1#@example.com/",
        "https://example.com/#fragment",
        "https://example.com#",
        "https://example.com\\@127.0.0.1/",
        "https://127.0.0.1\\.example.com/",
        "https://exa mple.com/",
        " https://example.com/",
        "https://example.com/\r\nX-Evil: 1",
        "https://example.com/\x00",
        "https://example.com/\t",
        "https://example.com/ä",
        "https://exämple.com/",
        "https://ⓛocalhost/",
        "https://127。0。0。1/",
        "https://example.com/<script>",
        'https://example.com/"',
        "https://example.com:/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:443443/",
        "https://example.com:-1/",
        "https://example.com:80:80/",
        "https://example.com:https/",
        "https://-example.com/",
        "https://example-.com/",
        "https://exa..mple.com/",
        "https://.example.com/",
        "https://./",
        "https://%31%32%37.0.0.1/",
        "https://example.com%00.evil.example/",
        "https://exa,mple.com/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.0.0.1/",
        "https://0x7f.1/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.1/",
        "https://0/",
        "https://0x/",
        "https://127.0.0.01/",
        "https://127.0.0.256/",
        "https://1.2.3.4.5/",
        "https://example.123/",
        "https://[127.0.0.1]/",
        "https://[::1/",
        "https://::1/",
        "https://[::1]x/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[v1.x]/",
        "https://[::g]/",
        "https://[]/",
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused(url: str) -> None:
    """Another scheme, a login, odd spellings of hosts, numbers and ports, and what splits a request, are refused."""
    with pytest.raises(Refused):
        target_of(url)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("0.0.0.0", "this machine"),
        ("0.1.2.3", "this machine"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "provider"),
        ("100.100.100.200", "provider"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "reserved"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "relay"),
        ("198.18.0.1", "measurements"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "reserved"),
        ("[::]", "this machine"),
        ("[::1]", "loopback"),
        ("[0:0:0:0:0:0:0:1]", "loopback"),
        ("[::ffff:127.0.0.1]", "loopback"),
        ("[::ffff:7f00:1]", "loopback"),
        ("[0:0:0:0:0:ffff:a9fe:a9fe]", "link-local"),
        ("[::ffff:10.0.0.1]", "private"),
        ("[::127.0.0.1]", "reserved"),
        ("[64:ff9b::127.0.0.1]", "loopback"),
        ("[64:ff9b::a9fe:a9fe]", "link-local"),
        ("[64:ff9b:1::1]", "reserved"),
        ("[2002:7f00:1::]", "loopback"),
        ("[2002:a00:1::1]", "private"),
        ("[2001:0:4136:e378::1]", "reserved"),
        ("[2606:2800:21f::5efe:127.0.0.1]", "loopback"),
        ("[2606:2800:21f::200:5efe:10.0.0.1]", "private"),
        ("[fe80::5efe:93.184.215.14]", "link-local"),
        ("[fe80::1]", "link-local"),
        ("[fec0::1]", "reserved"),
        ("[fc00::1]", "private"),
        ("[fd00:ec2::254]", "private"),
        ("[ff02::1]", "multicast"),
        ("[2001:db8::1]", "documentation"),
        ("[3fff::1]", "documentation"),
        ("[100::1]", "reserved"),
        ("[5f00::1]", "reserved"),
        ("[4000::1]", "reserved"),
    ],
)
async def test_an_address_that_is_not_public_is_refused(host: str, why: str) -> None:
    """It is refused where it stands in the URL, where a name leads to it, and beside a public one; both schemes."""
    bare = host.strip("[]")
    for scheme in ("https", "http"):
        with pytest.raises(Refused, match=why):
            await reached(f"{scheme}://{host}/")
    for answer in ([bare], [PUBLIC, bare], [bare, PUBLIC]):
        with pytest.raises(Refused, match=r"example\.com .*" + why):
            await reached("https://example.com/", names=Names(answer))


@pytest.mark.parametrize(
    "host", [PUBLIC, "8.8.8.8", "172.32.0.1", "192.0.1.1", "[2606:4700::1111]", "[2002:808:808::]"]
)
async def test_a_public_address_is_reached(host: str) -> None:
    """What is of the public Internet is fit, over https and at a port of the web or a high one."""
    for port in ("", ":443", ":80", ":1024", ":8443", ":65535"):
        assert await reached(f"https://{host}{port}/") == [host.strip("[]")]


@pytest.mark.parametrize("port", [1, 22, 25, 53, 110, 143, 445, 587, 1023])
async def test_a_port_that_is_none_of_the_web_is_refused(port: int) -> None:
    """Low ports of other protocols are not posted to, unless the operator allows the host."""
    with pytest.raises(Refused, match="no port of the web"):
        await reached(f"https://example.com:{port}/")
    assert await reached(f"https://example.com:{port}/", Allowed.of("example.com"))


async def test_plain_http_is_for_what_is_allowed() -> None:
    """Without TLS only what the operator names is reached."""
    with pytest.raises(Refused, match="over https"):
        await reached("http://example.com/")
    assert await reached("http://example.com/", Allowed.of("example.com")) == [PUBLIC]
    assert await reached("http://example.com/", Allowed.of(f"{PUBLIC}/24")) == [PUBLIC]


@pytest.mark.parametrize("name", ["localhost", "localhost.", "LOCALHOST", "localhost.localdomain", "127.0.0.1.nip.io"])
async def test_a_name_counts_for_what_it_leads_to(name: str) -> None:
    """Whatever a name is called, its addresses are judged."""
    names = Names(["127.0.0.1", "::1"])
    with pytest.raises(Refused, match="loopback"):
        await reached(f"https://{name}/", names=names)
    assert names.asked == [name.lower().removesuffix(".")]


async def test_a_name_that_changes_is_judged_each_time() -> None:
    """A name that was public when it was added is refused once it leads inside, and asked once for each connection."""
    names = Names([PUBLIC], ["10.0.0.1"])
    assert await reached("https://rebind.example/", names=names) == [PUBLIC]
    with pytest.raises(Refused, match="private"):
        await reached("https://rebind.example/", names=names)
    assert len(names.asked) == 2


@pytest.mark.parametrize(
    ("setting", "url", "names"),
    [
        ("127.0.0.1", "http://127.0.0.1:99/", None),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]/", None),
        ("10.0.0.0/8", "http://10.2.3.4/", None),
        ("10.1.2.3/8", "http://10.2.3.4/", None),
        ("::1", "http://[::1]/", None),
        ("[::1]", "http://[::1]/", None),
        ("fd00::/8", "https://[fd00::1]/", None),
        ("hooks.corp.example", "http://Hooks.Corp.example/", ["10.9.9.9"]),
        (" 192.168.0.0/16 , hooks.corp.example. ", "https://hooks.corp.example/", ["127.0.0.1"]),
        ("10.0.0.0/8", "https://inside.example/", ["10.0.0.7", PUBLIC]),
    ],
)
async def test_what_the_operator_allows_is_reached(setting: str, url: str, names: list[str] | None) -> None:
    """Hosts by their names, addresses by their networks, in any spelling of theirs."""
    assert await reached(url, Allowed.of(setting), Names(names or []))


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("127.0.0.1", "http://127.0.0.2/"),
        ("corp.example", "http://hooks.corp.example/"),
        ("hooks.corp.example", "http://corp.example/"),
        ("10.0.0.0/8", "http://11.0.0.1/"),
        ("", "http://127.0.0.1/"),
    ],
)
async def test_nothing_else_is_allowed(setting: str, url: str) -> None:
    """A neighbour, a parent or a child of what is allowed is not."""
    with pytest.raises(Refused):
        await reached(url, Allowed.of(setting), Names(["10.0.0.1"]))


@pytest.mark.parametrize(
    "setting", ["*", "*.example", "http://a.example", "10.0.0.0/33", "a b", "127.1", "a.example:80"]
)
def test_a_setting_that_cannot_be_is_refused(setting: str) -> None:
    """What is neither host nor network is named, with how it is written."""
    with pytest.raises(SettingsError, match=r"webhook_allow cannot hold .*10\.0\.0\.0/8"):
        Allowed.of(f"127.0.0.1,{setting}")
    with pytest.raises(SettingsError, match="at most 256"):
        Allowed.of(",".join(["127.0.0.1"] * 257))


def test_the_table_agrees_with_the_library() -> None:
    """Whatever the standard library takes for no global address is unfit, but for 6to4 and NAT64 of public ones."""
    for text in (*(f"{first}.1.2.3" for first in range(256)), *(f"{first:x}::1" for first in range(0, 65536, 97))):
        found = ip_address(text)
        if not found.is_global or found.is_multicast or found.is_reserved:
            assert unfit(found), text


async def test_a_lookup_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is looked up once at a time, in a thread of its own, and given up; others are looked up meanwhile."""
    go_on, asked = threading.Event(), list[str]()

    def getaddrinfo(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        if host == "hangs.example":
            go_on.wait(30)
        if host == "none.example":
            raise socket.gaierror
        return [(2, 1, 6, "", (PUBLIC, 0)), (2, 1, 6, "", (PUBLIC, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(address_module, "LOOKUP_WITHIN_S", 0.05)
    look_up = Resolver()
    for _ in range(3):
        with pytest.raises(Refused, match="not looked up within"):
            await look_up("hangs.example")
    assert asked == ["hangs.example"]
    monkeypatch.setattr(address_module, "LOOKUP_WITHIN_S", 10.0)
    assert await look_up("fast.example") == [PUBLIC]
    with pytest.raises(Refused, match="has no address"):
        await look_up("none.example")
    waiting = asyncio.create_task(look_up("hangs.example"))
    go_on.set()
    assert await waiting == [PUBLIC]
    assert look_up.running == {}


async def test_lookups_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """When as many lookups hang as may, a further one is refused at once."""
    go_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: go_on.wait(30) and [])
    monkeypatch.setattr(address_module, "LOOKUPS_MAX", 2)
    look_up = Resolver()
    hanging = [asyncio.create_task(look_up(f"h{n}.example")) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="other lookups hang"):
        await look_up("one.example")
    go_on.set()
    for each in hanging:
        with pytest.raises(Refused):
            await each


PIECES = (
    "https", "http", "HTTP", "ftp", ":", "//", "/", "\\", "@", "#", "?", "[", "]", ".", "..", "%2e", "%00", " ", "\t",
    "\r\n", "127.0.0.1", "0x7f", "0177", "1", "::1", "::ffff:", "localhost", "example", "com", "a-b", "-", "_", "user",
    "443", "99999", ";", ",", "ä", "。", "&", "=", "x",
)  # fmt: skip
URLS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@given(st.one_of(URLS, URLS.map("https://".__add__), st.text(max_size=40).map("https://".__add__)))
@example("https://example.com:443/x?y=@127.0.0.1")
@example("https://_")
def test_no_two_readers_disagree_about_a_url(url: str) -> None:
    """What is not refused has one host and one port, for another parser of URLs too, and no blank in what is sent."""
    try:
        target = target_of(url)
    except Refused:
        return
    try:
        other = httptools.parse_url(url.encode("ascii"))
    except httptools.HttpParserInvalidURLError:
        assert "_" in target.host, "which names have inside, and that parser does not know"
        return
    assert other.host.decode().lower().removesuffix(".") == target.host or ip_address(
        other.host.decode()
    ) == ip_address(target.host)
    assert (other.port or {"https": 443, "http": 80}[target.scheme]) == target.port
    assert other.userinfo is None
    assert not set(target.authority) & set(" \t\r\n\\@#/?")
    assert not set(target.path) & set(" \t\r\n\\#")
    assert target_of(target.origin + target.path) == target
