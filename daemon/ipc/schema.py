"""The methods of the socket, as data: validation and the reference come from here.

Kinds of parameters: `string`, `integer`, `number`, `boolean`, `kinds` (a list of event kinds), `hex`, `id16` and
`id32` (hex of 16 or 32 bytes), `ids16` (a list), `universe` (its id, a unique beginning of it, or its name), `from`
(an event number or "now").
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starling.daemon.ipc.errors import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from starling.daemon.ipc.event_kinds import check_kinds

API_VERSION = {"major": 1, "minor": 0}
MAX_LINE = 2**20
MAX_BATCH = 64
MAX_CLIENTS = 64
MAX_SUBSCRIPTIONS = 16
MAX_WAIT = 60
FRAMINGS = ("json", "msgpack")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named parameter; None is its value where it is optional, absent, and has no default."""

    name: str
    kind: str
    doc: str
    required: bool = False
    default: Any = None
    low: float = 0
    high: float = 2**53
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Method:
    """One method: `result` names the members of the object that answers it."""

    name: str
    doc: str
    params: tuple[Parameter, ...] = ()
    result: str = ""


_UNIVERSE = Parameter("universe", "universe", "id, unique beginning of the id, or name", True)
_WAIT = Parameter("wait", "boolean", "false: answer as soon as it is saved", default=True)
_TIMEOUT = Parameter("timeout", "number", "seconds to wait at most", default=15, low=0, high=MAX_WAIT)
_LIMIT = Parameter("limit", "integer", "how many at most", default=100, low=1, high=1000)
_KINDS = Parameter("kinds", "kinds", "event kinds wanted, all where absent", high=64)
_SUITE = Parameter(
    "cipher_suite", "integer", "the MLS cipher suite of the own send group", default=1, low=1, high=65535
)

METHODS = {
    method.name: method
    for method in (
        Method(
            "hello",
            "Agree on the version of this interface; may come first, and need not.",
            (
                Parameter("client", "string", "name of the app, for the log", high=128),
                Parameter("want", "string", "wanted version, such as 1.x", high=16),
                Parameter(
                    "framing",
                    "string",
                    "of all that follows this request and its answer; by the first request of a connection only",
                    values=FRAMINGS,
                ),
            ),
            "server, version, api, features, framing, profile",
        ),
        Method("ping", "Answer.", (), "pong"),
        Method("rpc.discover", "This list, as an OpenRPC document.", (), "the document"),
        Method("daemon.status", "How the node is.", (), "version, pid, uptime_s, addresses, events, ..."),
        Method("daemon.shutdown", "End the daemon cleanly.", (), "stopping"),
        Method("profile.get", "Who this node is.", (), "name, identity, peer_id, addresses"),
        Method(
            "universe.create",
            "Found a universe.",
            (Parameter("name", "string", "for people", True, low=1, high=64), _SUITE),
            "universe_id, name",
        ),
        Method("universe.list", "The universes of this node.", (), "universes"),
        Method("universe.get", "One universe.", (_UNIVERSE,), "the universe, converged, members"),
        Method(
            "universe.join",
            "Join by a ticket; by default waits until joined or refused.",
            (
                Parameter("ticket", "string", "the ticket's text", True, low=1, high=16384),
                _SUITE,
                _WAIT,
                _TIMEOUT,
            ),
            "universe_id, state (joined or joining), name",
        ),
        Method(
            "invite.create",
            "Make a ticket.",
            (
                _UNIVERSE,
                Parameter("uses", "integer", "how many may join with it", default=1, low=1, high=1000),
                Parameter("expires_in", "number", "seconds", default=86400, low=1, high=366 * 86400),
            ),
            "ticket, invite_id, expires_at",
        ),
        Method(
            "invite.inspect",
            "What a ticket says, without using it.",
            (Parameter("ticket", "string", "the ticket's text", True, low=1, high=16384),),
            "what the ticket holds",
        ),
        Method("invite.list", "The tickets of a universe made here.", (_UNIVERSE,), "invites"),
        Method(
            "invite.revoke",
            "Take a ticket back.",
            (_UNIVERSE, Parameter("invite_id", "hex", "of the ticket", True, low=1, high=64)),
            "revoked",
        ),
        Method("member.list", "Who is in a universe.", (_UNIVERSE,), "members"),
        Method(
            "member.remove",
            "Remove a member (founder only).",
            (_UNIVERSE, Parameter("identity", "id32", "identity key of the member", True)),
            "removed",
        ),
        Method(
            "message.send",
            "Send to everyone in a universe. Once for each id; by default waits until it is encrypted.",
            (
                _UNIVERSE,
                Parameter("body", "string", "text, or base64 as `encoding` says", True, high=MAX_LINE),
                Parameter("encoding", "string", "of the body", default="utf8", values=("utf8", "base64")),
                Parameter("type", "string", "of the message", default="text", low=1, high=64),
                Parameter("id", "id16", "drawn by the app, to make a repeat harmless"),
                Parameter("refs", "ids16", "messages that this one answers", high=16),
                _WAIT,
                _TIMEOUT,
            ),
            "id, state (queued or sent), recipients, epoch, dmls_epoch; warning, where something is wrong",
        ),
        Method(
            "message.history",
            "Messages of a universe, own ones too, oldest first; the newest page without `before`.",
            (_UNIVERSE, Parameter("before", "integer", "a message's number", low=0), _LIMIT),
            "messages, more",
        ),
        Method(
            "events.subscribe",
            "Every event after a named cursor or a number, then each new one, as notifications `events.event`.",
            (
                Parameter(
                    "cursor",
                    "string",
                    "name of a cursor; a new one begins at `from`, at the oldest kept event without it",
                    low=1,
                    high=64,
                ),
                Parameter(
                    "from",
                    "from",
                    'number of the last event known, or "now", which it is without cursor and number',
                ),
                _KINDS,
                Parameter("universe", "universe", "only events of this one"),
            ),
            "subscription, from, last",
        ),
        Method(
            "events.unsubscribe",
            "End a subscription of this connection.",
            (Parameter("subscription", "integer", "its number", True),),
            "ended",
        ),
        Method(
            "events.ack",
            "Move a named cursor forward, durably: the events up to `seq` are done.",
            (
                Parameter("cursor", "string", "its name", True, low=1, high=64),
                Parameter("seq", "integer", "an event number", True, low=0),
            ),
            "cursor, seq",
        ),
        Method(
            "events.list",
            "A page of events.",
            (Parameter("after", "integer", "an event number", default=0, low=0), _LIMIT, _KINDS),
            "events, last, next",
        ),
        Method("security.update", "Commit with fresh keys now.", (_UNIVERSE,), "epoch"),
        Method("peer.list", "The peers connected or known.", (), "connected, known"),
    )
}


def find_method(name: str) -> Method:
    """The method of that name; RpcError with the nearest name where there is none."""
    method = METHODS.get(name)
    if method is None:
        near = difflib.get_close_matches(name[:64], METHODS, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise RpcError(METHOD_NOT_FOUND, f"there is no method {name[:64]!r}{hint}", "unknown_method")
    return method


def validate(method: Method, params: Any) -> dict[str, Any]:
    """All parameters of a method by name, defaults filled in, ids as bytes; RpcError for anything else."""
    given: Mapping[str, Any]
    if isinstance(params, list):
        if len(params) > len(method.params):
            raise _bad(f"{method.name} takes at most {len(method.params)} parameters")
        given = {parameter.name: value for parameter, value in zip(method.params, params, strict=False)}
    else:
        given = params
    known = [parameter.name for parameter in method.params]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name[:64], known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known) or 'none'}"
            raise _bad(f"{method.name} has no parameter {name[:64]!r}; {hint}")
    checked: dict[str, Any] = {}
    for parameter in method.params:
        value = given.get(parameter.name)
        if value is None:
            if parameter.required:
                raise _bad(f"{method.name} needs the parameter {parameter.name!r}: {parameter.doc}")
            checked[parameter.name] = parameter.default
            continue
        try:
            checked[parameter.name] = _check(parameter, value)
        except ValueError as error:
            raise _bad(f"{method.name}: {parameter.name!r} {error}") from None
    return checked


def _bad(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message, "bad_params")


def _check(parameter: Parameter, value: Any) -> Any:
    low, high = parameter.low, parameter.high
    match parameter.kind:
        case "string" | "universe":
            if not isinstance(value, str) or not low <= len(value) <= high:
                raise ValueError(f"must be a string of {low:.0f} to {high:.0f} characters")
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("holds half of a surrogate pair") from None
            if parameter.values and value not in parameter.values:
                raise ValueError(f"must be one of {', '.join(parameter.values)}")
            return value
        case "boolean":
            if not isinstance(value, bool):
                raise ValueError("must be true or false")
            return value
        case "integer" | "number" | "from":
            if parameter.kind == "from" and value == "now":
                return value
            whole = parameter.kind != "number"
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                value = None
            if value is None or not low <= value <= high:
                raise ValueError(f"must be a{' whole' if whole else ''} number from {low:.0f} to {high:.0f}")
            return value
        case "id16" | "id32":
            return _hex(value, int(parameter.kind[2:]))
        case "hex":
            return _hex(value, None)
        case "ids16":
            if not isinstance(value, list) or len(value) > high:
                raise ValueError(f"must be a list of at most {high:.0f} ids")
            return tuple(_hex(item, 16) for item in value)
        case _:
            if not isinstance(value, list) or len(value) > high or not all(isinstance(v, str) for v in value):
                raise ValueError(f"must be a list of at most {high:.0f} event kinds")
            check_kinds(value)
            return tuple(value)


def _hex(value: Any, size: int | None) -> bytes:
    try:
        if isinstance(value, str) and 0 < len(value) <= 128 and value.isalnum():
            data = bytes.fromhex(value)
            if size is None or len(data) == size:
                return data
    except ValueError:
        pass
    raise ValueError(f"must be the hex of {size} bytes" if size else "must be hex")
