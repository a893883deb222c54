"""Sending to receivers that keep no rule: what is read of them, for how long, and what is said of it."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.receiver import is_signed, receiver

from claudebench.events.model import Event
from claudebench.telemetry.time import iso
from claudebench.webhooks import sending
from claudebench.webhooks.address import Allowed, Refused
from claudebench.webhooks.exchange import NoAnswer, Reading, Reply
from claudebench.webhooks.model import Doc, Kept
from claudebench.webhooks.sending import Message, NotSent, Sender
from claudebench.webhooks.signing import new_secret, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]

SECRET = new_secret()
LOCAL = Allowed.of("127.0.0.1,hooks.example")


def webhook(url: str) -> Kept:
    """Return a webhook at a URL."""
    doc = Doc(url=url, events=["*"], description="", retries=0, nonce="n")
    return Kept("wh-1", doc, 0, SECRET, "", 0, "", 0)


def message(size: int = 2) -> Message:
    """Return a message of a size."""
    return Message("msg_1", b"x" * size)


@asynccontextmanager
async def answering(behaviour: Behaviour | bytes) -> AsyncIterator[str]:
    """Run a server that answers each connection with some bytes, or behaves as it is told; yield its URL."""
    at_work = dict[asyncio.StreamWriter, asyncio.Event]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at_work[writer] = asyncio.Event()
        with suppress(OSError, EOFError):
            if isinstance(behaviour, bytes):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(behaviour)
            else:
                await behaviour(reader, writer)
        writer.close()
        at_work[writer].set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret-path"
    finally:
        server.close()
        for writer, ended in at_work.items():
            await ended.wait()
            writer.transport.abort()


async def sent(url: str, what: Message | None = None, sender: Sender | None = None) -> Reply:
    """Send something."""
    return await (sender or Sender(LOCAL)).send(webhook(url), what or message())


def test_signatures_are_those_of_the_specification() -> None:
    """The message that the specification's libraries are tested with has the signature that they expect."""
    headers = signed(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert len({new_secret() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
        (b"HTTP/1.0 200\r\n\r\n", 200),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n", 202),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", 200),
        (b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\ncut", 500),
        (b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz", 500),
        (b"HTTP/1.1 299 Odd\r\n\r\nHTTP/1.1 500 No\r\n\r\n", 299),
    ],
)
async def test_a_status_is_enough(answer: bytes, status: int) -> None:
    """Whatever follows, or does not, the first final status counts."""
    async with answering(answer) as url:
        assert (await sent(url)).status == status


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "without an answer"),
        (b"\r\n", "without an answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "without an answer"),
        (b"220 mail.example ESMTP\r\n", "no HTTP"),
        (b"HTTP/1.1 2000 No\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 204 No\r\nX: " + b"a" * 100_000, "does not end"),
        (b"HTTP/1.1 204 No\r\n" + b"X: a\r\n" * 20_000, "does not end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, "does not end"),
    ],
)
async def test_what_is_no_answer_is_said(answer: bytes, said: str) -> None:
    """What is no HTTP, or has no end, is given up, and the error names host and port alone."""
    async with answering(answer) as url:
        with pytest.raises(NotSent, match=said) as failed:
            await sent(url)
    assert str(failed.value).startswith(url.split("/")[2])
    assert "secret-path" not in str(failed.value)


ANSWER = b"HTTP/1.1 503 Away\r\nRetry-After: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


@given(st.integers(0, len(ANSWER)), st.integers(0, 8), st.binary(max_size=12), st.integers(1, len(ANSWER)))
def test_no_answer_breaks_its_reader(at: int, gone: int, more: bytes, step: int) -> None:
    """An answer with bytes lost, changed and added, in pieces of any size, is read or refused, nothing else."""
    answer = ANSWER[:at] + more + ANSWER[at + gone :]
    reading = Reading()
    with suppress(NoAnswer):
        for begin in range(0, len(answer), step):
            reading.take(answer[begin : begin + step])
    assert reading.reply.status == 0 or 200 <= reading.reply.status <= 999
    assert len(reading.reply.text) <= 4096


async def test_of_a_refusal_only_the_beginning_is_read() -> None:
    """A text without end is read for 4 KiB, and a few words of it are told, on one line, without what is secret."""
    text = f"sorry\n\x1b[31m {SECRET} /secret-path password=hunter22 ".encode()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 1000000000\r\n\r\n" + text)
        while not writer.transport.is_closing():
            writer.write(b"x" * 65_536)
            await asyncio.sleep(0)

    sender = Sender(LOCAL, mask=lambda said: said.replace("hunter22", "***"))
    async with answering(flood) as url:
        reply = await sent(url, sender=sender)
        said = sender.said(webhook(url), reply)
    assert len(reply.text) == 4096
    assert said.startswith(f"{url.split('/')[2]} answered 400: sorry [31m whsec_*** /*** password=*** xxx")
    assert len(said) < 250


async def test_who_does_not_read_may_still_answer() -> None:
    """A receiver that answers before it has read a large body is heard, and one that cuts is not waited for."""

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\n\r\n")
        await writer.drain()
        await reader.read()

    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with answering(early) as url:
        assert (await sent(url, message(1_000_000))).status == 413
    async with answering(cut) as url:
        with pytest.raises(NotSent, match=r"cut|without an answer"):
            await sent(url, message(1_000_000))


async def test_who_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence, and an answer that comes byte by byte, end with the time that the whole may take."""
    monkeypatch.setattr(sending, "WHOLE_S", 0.2)
    over = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        over.set()

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 ")
        while not writer.transport.is_closing():
            writer.write(b"a")
            await asyncio.sleep(0.01)

    for behaviour in (silent, dripping):
        async with answering(behaviour) as url:
            with pytest.raises(NotSent, match=r"no answer within 0\.2 s"):
                await sent(url)
    async with asyncio.timeout(5):
        await over.wait()


async def test_who_is_not_there_is_said() -> None:
    """A closed port is no connection, and of several addresses the next one is tried."""
    async with answering(b"") as url:
        pass
    with pytest.raises(NotSent, match="no connection: Connection refused"):
        await sent(url)

    async def two(_host: str) -> list[str]:
        return ["127.0.0.9", "127.0.0.1"]

    async with answering(b"HTTP/1.1 204 No\r\n\r\n") as url:
        named = url.replace("127.0.0.1", "hooks.example")
        assert (await sent(named, sender=Sender(LOCAL, look_up=two))).status == 204


async def test_a_body_beyond_the_bound_is_not_sent() -> None:
    """A body of 1 MiB goes; one byte more is refused before there is a connection."""
    async with receiver() as to:
        assert (await sent(to.url, message(1_048_576))).status == 204
        with pytest.raises(NotSent, match="at most 1048576"):
            await sent(to.url, message(1_048_577))
        assert to.connections == 1


async def test_an_address_is_judged_for_every_connection() -> None:
    """A name that leads elsewhere since it was added is not connected to, and its address is asked once only."""
    answers, asked = [["93.184.215.14"], ["127.0.0.1"]], list[str]()

    async def rebinding(host: str) -> list[str]:
        asked.append(host)
        return answers[min(len(asked), 2) - 1]

    async with receiver() as to:
        sender = Sender(Allowed(), look_up=rebinding)
        url = f"https://rebind.example:{to.port}/"
        await sender.check(url)
        with pytest.raises(NotSent, match="loopback"):
            await sent(url, sender=sender)
        with pytest.raises(Refused, match="loopback"):
            await sender.check(url)
        assert (to.connections, len(asked)) == (0, 3)


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies does not count."""
    async with receiver() as to, receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await sent(to.url)).status == 204
        assert (to.connections, proxy.connections) == (1, 0)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("", 0, 0),
        ("0", 0, 0),
        ("7", 7, 7),
        ("299", 299, 299),
        ("301", 300, 300),
        ("9" * 99, 300, 300),
        ("-5", 0, 0),
        ("1.5", 0, 0),
        ("soon", 0, 0),
        ("٣", 0, 0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300, 300),
        ("Fri, 99 Dec 2099 23:59:59 GMT", 0, 0),
    ],
)
def test_retry_after_is_read_and_bounded(text: str, low: float, high: float) -> None:
    """Seconds and dates count, up to the bound; whatever else it says counts for nothing."""
    assert low <= Reply(retry_after=text).retry_after_s(300) <= high


def test_retry_after_takes_a_date() -> None:
    """A date says how long it is until then."""
    soon = datetime.now(UTC) + timedelta(seconds=60)
    assert 55 < Reply(retry_after=format_datetime(soon, usegmt=True)).retry_after_s(300) <= 60


def test_a_message_is_the_same_each_time() -> None:
    """Of one event and webhook there is one id and one body; of another webhook the id is another."""
    event = Event(id="1-0", type="x.a", subject="s", payload=b"{}", time=iso(0))  # type: ignore[arg-type]
    one, other = webhook("https://a.example"), webhook("https://a.example")
    other.doc.nonce = "other"
    assert Message.of(one, event, "w") == Message.of(one, event, "w")
    assert Message.of(one, event, "w").id != Message.of(other, event, "w").id
    assert SECRET not in f"{one!r} {one}"


# -- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of `hooks.example` that signed itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=hooks.example"
    named = ("-addext", "subjectAltName=DNS:hooks.example", "-keyout", "key.pem", "-out", "cert.pem")
    subprocess.run(["openssl", *words.split(), *named], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


async def test_the_certificate_is_that_of_the_name(certificate: tuple[Path, Path]) -> None:
    """The connection goes to the judged address, under the name: SNI and certificate are those of the name."""
    names = list[str | None]()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    tls.sni_callback = lambda _socket, name, _context: names.append(name)

    async def local(_host: str) -> list[str]:
        return ["127.0.0.1"]

    trusting, wary = Sender(Allowed.of("127.0.0.1"), look_up=local), Sender(Allowed.of("127.0.0.1"), look_up=local)
    trusting.tls = ssl.create_default_context(cafile=str(certificate[0]))
    async with receiver(tls) as to:
        good, other = (f"https://{name}:{to.port}/" for name in ("hooks.example", "other.example"))
        assert (await sent(good, sender=trusting)).status == 204
        for url, sender, said in (
            (other, trusting, "certificate does not count: Hostname mismatch"),
            (f"https://127.0.0.1:{to.port}/", trusting, "certificate does not count: IP address mismatch"),
            (good, wary, "certificate does not count: self"),
        ):
            with pytest.raises(NotSent, match=said):
                await sent(url, sender=sender)
        (got,) = to.got
    assert names[:2] == ["hooks.example", "other.example"]
    assert got.headers["host"] == f"hooks.example:{to.port}"
    assert is_signed(got, SECRET)


async def test_who_speaks_no_tls_is_said() -> None:
    """A receiver of plain HTTP behind https:// is no connection, and gets nothing of the message."""
    async with answering(b"HTTP/1.1 204 No\r\n\r\n") as url:
        with pytest.raises(NotSent, match="no connection"):
            await sent(url.replace("http:", "https:"))
