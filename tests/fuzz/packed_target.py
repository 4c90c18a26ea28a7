"""What is no MLS structure: frames and their bundles, messages of the exchange, application data, reports, roster
bodies, tickets."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fuzz.findings import Finding, bounded, refused
from tests.fuzz.packed_values import change_packed, packed
from tests.fuzz.values import change_bytes

from starling.p2p import bundle
from starling.protocol.distributed import application, heads, labels, roster_body, text_form, ticket
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.ticket import Ticket
from starling.protocol.errors import DecodeError, UsageError
from starling.protocol.exchange import frame, joining_messages, messages
from starling.protocol.exchange.joining_messages import Admitted
from starling.protocol.exchange.message import VERSION, Message
from starling.protocol.packed import Blob, Many, Uint, pack

MUTANTS = 12
_IDENTITY = Identity.generate("fuzz", lambda size: hashlib.shake_128(b"fuzz").digest(size))


@dataclass(frozen=True)
class Packed:
    """`make` is a valid value, `seal` its bytes; `decode` gives what `encode` turns into the same bytes."""

    make: Callable[[random.Random], Any]
    decode: Callable[[bytes], Any]
    encode: Callable[[Any], bytes]
    seal: Callable[[Any], bytes] = pack


def _message(cls: type[Message]) -> Packed:
    def make(rng: random.Random) -> Any:
        fields = [packed(rng, pattern) for pattern in cls.patterns]
        frames = packed(rng, Many(Blob(100, 1), 3))
        return [[VERSION, cls.kind, fields], frames]

    def seal(value: Any) -> bytes:
        if isinstance(value, list) and len(value) == 2 and not isinstance(value[0], bytes):
            value = [pack(value[0]), value[1]]
        return pack(value)

    return Packed(
        make, messages.decode_message, lambda held: messages.attach(held[0].encode(), list(held[1])), seal
    )


def _frame(kind: int, pattern: Any) -> Packed:
    return Packed(
        lambda rng: [frame.VERSION, kind, packed(rng, pattern)],
        frame.decode_frame,
        lambda held: held.encode(),
    )


def _body(kind: int, pattern: Any) -> Packed:
    return Packed(
        lambda rng: packed(rng, pattern),
        lambda data: roster_body.decode_body(kind, data),
        lambda held: held.encode(),
    )


def _make_ticket(rng: random.Random) -> Any:
    fields = packed(rng, ticket._FIELDS)
    fields[2], fields[4] = "hikers", "Alice"
    fields[3] = _IDENTITY.identity_public_key
    fields[6] = [[_IDENTITY.peer_id, ["/ip4/192.0.2.7/tcp/42055"]] for _ in fields[6]]
    return [1, fields]


def _seal_ticket(value: Any) -> bytes:
    """The text of a ticket whose issuer signs whatever it holds."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], list) and len(value[1]) > 1:
        universe_id = value[1][1] if isinstance(value[1][1], bytes) else b""
        content = ticket._TicketContent(universe_id, pack(value[1])).encode()
        value = [*value, _IDENTITY.sign(labels.TICKET_ISSUE, content)]
    content = pack(value)
    checksum = hashlib.sha256(content).digest()[: text_form._CHECKSUM_LENGTH]
    return b"starling1" + base64.b32encode(content + checksum).rstrip(b"=").lower()


def _parse_ticket(data: bytes) -> Ticket:
    return Ticket.parse(data.decode("latin-1"))


def _make_admission(rng: random.Random) -> Any:
    made = packed(rng, roster_body._ADMISSION)
    made[0], made[1], made[3] = "Alice", "member", _IDENTITY.peer_id
    return made


def make_report(rng: random.Random) -> Any:
    *fields, rows = packed(rng, heads._SHAPE)
    return [*fields, sorted(rows, key=heads._order)]


def _read_report(data: bytes) -> heads.HeadsMessage:
    """A report, whole or about one that has three groups, which is completed too."""
    message = heads.HeadsMessage.decode(data)
    held = {bytes([place]) * 32: (heads.Head(b"head", b"past", 7),) for place in range(3)}
    report = message.report(heads.HeadsReport(bytes(32), held, message.base), bytes(32))
    assert report is not None
    assert heads.HeadsMessage.telling(report, None).report(None, bytes(32)) == report
    return message


def _split(data: bytes) -> list[bytes]:
    try:
        return bundle.split(data)
    except bundle.BundleError as error:
        raise DecodeError("no bundle") from error


def _join(value: Any) -> bytes:
    if isinstance(value, list) and all(isinstance(frame, bytes) and len(frame) < 2**16 for frame in value):
        return bundle.join(value)
    raise UsageError("a bundle is made of frames")


_ID = Blob.of(32)

TARGETS: dict[str, Packed] = {
    **{cls.__name__: _message(cls) for cls in messages._KINDS.values()},
    "Admitted": Packed(lambda rng: packed(rng, joining_messages._ADMITTED), Admitted.decode, Admitted.encode),
    "CommitFrame": _frame(frame.COMMIT, frame._COMMIT),
    "MessageFrame": _frame(frame.MESSAGE, frame._MESSAGE),
    "Announcement": _frame(frame.ANNOUNCEMENT, frame._ANNOUNCEMENT),
    "ApplicationData": Packed(
        lambda rng: packed(rng, application._SHAPE),
        application.ApplicationData.decode,
        application.ApplicationData.encode,
    ),
    "HeadsMessage": Packed(make_report, _read_report, heads.HeadsMessage.encode),
    "Invite": _body(roster_body.Kind.INVITE, (_ID, _ID, "member", Uint(5), Uint(5))),
    "RoleChange": _body(
        roster_body.Kind.ROLE, ("reader", Many(_ID, 1), (_ID, Uint(9), Blob(32, 1), Uint(9)))
    ),
    "Removal": _body(roster_body.Kind.REMOVAL, ("member", Many(_ID, 3))),
    "Founding": _body(roster_body.Kind.POLICY, ("hikers", _ID)),
    "Topic": _body(roster_body.Kind.TOPIC, (_ID,)),
    "Admission": Packed(
        _make_admission,
        lambda data: roster_body.decode_body(roster_body.Kind.MEMBER, data),
        lambda held: held.encode(),
    ),
    "Identity": Packed(
        lambda rng: [1, "Alice", rng.randbytes(32), rng.randbytes(32)], Identity.load, Identity.save
    ),
    "Bundle": Packed(lambda rng: packed(rng, Many(Blob(100, 1), 5, 1)), _split, bundle.join, _join),
    "Ticket": Packed(_make_ticket, _parse_ticket, lambda held: held.text().encode(), _seal_ticket),
}


def check(name: str, data: bytes) -> bool:
    """Feed one input to one decoder; whether it was accepted. Raises `Finding`."""
    target = TARGETS[name]
    try:
        with bounded(len(data), name):
            held, refusal = refused(lambda: target.decode(data))
            if refusal is not None:
                return False
            again = target.encode(held)
            canonical = "".join(data.decode("latin-1").split()).lower().encode() if name == "Ticket" else data
            if again != canonical:
                raise Finding("what was decoded encodes to something else")
            repr(held)
    except Finding as finding:
        raise Finding(f"{name}: {finding.what}", structure=name, data=data) from finding
    except Exception as error:
        raise Finding(f"{name}: {type(error).__name__}: {error}", structure=name, data=data) from error
    return True


def run(rng: random.Random) -> int:
    """One value and its mutants; how many inputs that was."""
    return run_structure(rng.choice(sorted(TARGETS)), rng)[0]


def run_structure(name: str, rng: random.Random) -> tuple[int, int]:
    """How many inputs were tried, and how many accepted."""
    target = TARGETS[name]
    held = target.make(rng)
    data = target.seal(held)
    accepted = int(check(name, data))
    inputs = 1
    for _ in range(MUTANTS):
        mutant = change_bytes(rng, data)
        if rng.random() < 0.8:
            changed = held
            for _ in range(rng.choice((1, 1, 1, 2, 3))):
                changed = change_packed(rng, changed)
            with contextlib.suppress(UsageError):  # no longer to be packed: then the changed bytes
                mutant = target.seal(changed)
        accepted += check(name, mutant)
        inputs += 1
    return inputs, accepted
