"""What each method of the schema does."""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from starling.daemon import render
from starling.daemon.history import OwnMessage
from starling.daemon.ipc import openrpc
from starling.daemon.ipc.archiver_methods import ArchiverMethods
from starling.daemon.ipc.backup_methods import BackupMethods, last_made
from starling.daemon.ipc.connection import Connection, Handler
from starling.daemon.ipc.errors import refused
from starling.daemon.ipc.event_methods import PAGE_BYTES, EventMethods
from starling.daemon.ipc.lookup import SHOWN_DIGITS, Lookup
from starling.daemon.ipc.member_methods import MemberMethods, when_done
from starling.daemon.ipc.schema import API_VERSION, METHODS
from starling.daemon.loop import Loop
from starling.p2p.interface import Network
from starling.protocol.distributed.identity import Identity
from starling.protocol.distributed.ticket import Ticket, ticket_link
from starling.protocol.engine import inputs
from starling.protocol.errors import DecodeError

_JOIN_REFUSALS = {
    "ticket.revoked": "the ticket was taken back",
    "ticket.expired": "the ticket has expired",
    "ticket.used": "the ticket was used up",
    "ticket.unknown": "the ticket is not known there",
    "ticket.removed": "whoever used this ticket was removed from the universe",
    "member.known": "this node is a member already, by a state of it that is gone, and has to be removed first",
    "universe.full": "the universe has as many members as it can have",
}
_SENT_MEMBERS = ("recipients", "epoch", "dmls_epoch")
_TROUBLES = {
    "rollback": "a member knows a newer state of this node's own group than the node itself: it was probably put back "
    "to an old state; if others cannot read what it sends, or another copy of it runs, see 'starling recover'",
    "twice": "another node with the keys of this one runs: end one of the two for good, then say 'starling recover' on "
    "the other; until then nobody imports anything from it",
    "asking": "this node starts anew: what is sent stays queued until an admin confirms the number that 'starling "
    "universe show' has",
    "superseded": "another copy of this node was admitted in its place: nothing is sent from here any more, unless "
    "'starling recover' makes this the one that counts",
}
"""By what is wrong with this node (`Engine.trouble`), what to say to who sends."""


class Methods:
    """The methods of one daemon. `stop` ends it."""

    def __init__(
        self, loop: Loop, network: Network, identity: Identity, socket: str, stop: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._network = network
        self._identity = identity
        self._socket = socket
        self._stop = stop
        self._started = time.monotonic()
        self._find = Lookup(loop)
        parts = {
            "archiver": ArchiverMethods(loop, self._find.universe),
            "backup": BackupMethods(loop),
            "events": EventMethods(loop, self._find),
            "member": MemberMethods(loop, identity, self._find),
        }
        self.handlers: dict[str, Handler] = {
            name: getattr(parts.get(name.partition(".")[0], self), name.replace(".", "_")) for name in METHODS
        }

    @property
    def _engine(self) -> Any:
        return self._loop.engine

    async def hello(self, connection: Connection, params: dict[str, Any]) -> Any:
        wanted = (params["want"] or "1").split(".")[0]
        if wanted != str(API_VERSION["major"]):
            raise refused(
                f"this daemon speaks version {API_VERSION['major']}.x of the interface", "api_version"
            )
        if params["framing"] is not None:
            connection.choose_framing(params["framing"])
        return {
            "server": "starling",
            "version": version("starling"),
            "api": API_VERSION,
            "features": ["cursors", "batch", "msgpack"],
            "framing": connection.framing_chosen,
            "profile": self._profile(),
        }

    async def ping(self, _: Connection, params: dict[str, Any]) -> Any:
        return {"pong": True}

    async def rpc_discover(self, _: Connection, params: dict[str, Any]) -> Any:
        return openrpc.document()

    async def daemon_status(self, _: Connection, params: dict[str, Any]) -> Any:
        status = await self._loop.view(lambda engine: engine.status())
        return render.plain(dict(status)) | {
            "version": version("starling"),
            "pid": os.getpid(),
            "uptime_s": round(time.monotonic() - self._started, 3),
            "socket": self._socket,
            "addresses": list(self._loop.addresses),
            "connected": len(self._network.connected()),
            "last_event": self._loop.hub.last_seq,
            "commits": self._loop.commits,
            "last_backup": last_made(self._loop),
            "network": dict(self._network.counters()),
        }

    async def daemon_shutdown(self, connection: Connection, params: dict[str, Any]) -> Any:
        connection.after_answer = self._stop
        return {"stopping": True}

    async def profile_get(self, _: Connection, params: dict[str, Any]) -> Any:
        return self._profile()

    async def profile_set(self, _: Connection, params: dict[str, Any]) -> Any:
        reply = await self._loop.submit(inputs.Rename(params["name"]))

        async def later() -> Any:
            await reply.wait()
            return self._profile()

        return later

    def _profile(self) -> dict[str, Any]:
        identity: Identity = self._engine.identity
        shown = {"name": identity.name, "identity": identity.identity_public_key, "peer_id": identity.peer_id}
        return {**render.plain(shown), "addresses": list(self._loop.addresses)}

    async def universe_create(self, _: Connection, params: dict[str, Any]) -> Any:
        universes: list[Mapping[str, Any]] = self._engine.universes()
        for universe in universes:
            if universe["name"] == params["name"] and universe.get("state") != "removed":
                raise refused(
                    f"there is a universe {params['name'][:80]!r} on this node already "
                    f"({universe['universe_id'].hex()[:SHOWN_DIGITS]}...); choose another name",
                    "universe.exists",
                    universe_id=universe["universe_id"].hex(),
                )
        reply = await self._loop.submit(inputs.CreateUniverse(params["name"], params["cipher_suite"]))

        async def later() -> Any:
            return {"universe_id": (await reply.wait()).hex(), "name": params["name"]}

        return later

    async def universe_list(self, _: Connection, params: dict[str, Any]) -> Any:
        return {"universes": render.plain(await self._loop.view(lambda engine: engine.universes()))}

    async def universe_get(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])

        def look(engine: Any) -> dict[str, Any]:
            converged = engine.converged(universe)
            return {
                **engine.universe(universe),
                "converged": converged,
                "members": engine.members(universe),
                "former_members": engine.former_members(universe),
            }

        return render.plain(await self._loop.view(look))

    async def universe_join(self, _: Connection, params: dict[str, Any]) -> Any:
        seq = self._loop.hub.last_seq
        reply = await self._loop.submit(inputs.JoinUniverse(params["ticket"].strip(), params["cipher_suite"]))

        async def later() -> Any:
            universe = await reply.wait()
            told = None
            if params["wait"]:
                kinds = ("universe.joined", "join.failed")
                told = await self._loop.hub.outcome(seq, kinds, universe, params["timeout"])
            if told is None:
                return {"universe_id": universe.hex(), "state": "joining"}
            if told.kind == "join.failed":
                reason = str(told.body.get("reason", "refused"))
                why = _JOIN_REFUSALS.get(reason, f"the universe refused ({reason[:64]})")
                advice = (
                    "somebody has to leave first" if reason == "universe.full" else "ask for a new ticket"
                )
                raise refused(f"cannot join: {why}; {advice}", "join.failed", reason=reason)
            return {"universe_id": universe.hex(), "state": "joined", **render.plain(dict(told.body))}

        return later

    async def invite_create(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        expires_in = int(params["expires_in"] * 1000)
        command = inputs.CreateInvite(universe, params["uses"], expires_in, params["role"])
        reply = await self._loop.submit(command)

        async def later() -> Any:
            made = render.plain(await reply.wait())
            return made | {"link": ticket_link(made["ticket"])}

        return later

    async def invite_inspect(self, _: Connection, params: dict[str, Any]) -> Any:
        try:
            return render.plain(Ticket.parse(params["ticket"].strip()).inspect(self._loop.now()))
        except DecodeError as error:
            raise refused(
                f"{error} Copy the whole text that 'invite create' printed.", "ticket.bad"
            ) from None

    async def invite_list(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        return {"invites": render.plain(await self._loop.view(lambda engine: engine.invites(universe)))}

    async def invite_revoke(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        invites = await self._loop.view(lambda engine: engine.invites(universe))
        wanted = bytes(params["invite_id"])
        found = [invite["invite_id"] for invite in invites if invite["invite_id"].startswith(wanted)]
        if len(found) != 1:
            raise refused(
                f"{len(found) or 'no'} tickets of this universe have ids that begin with {wanted.hex()[:80]}; "
                "'starling invite list' shows all",
                "ambiguous" if found else "invite.unknown",
            )
        reply = await self._loop.submit(inputs.RevokeInvite(universe, found[0]))
        return when_done(reply.wait, {"revoked": found[0].hex()})

    async def universe_policy(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        if params["invite"] is None and params["remove"] is None:
            policy = (await self._loop.view(lambda engine: engine.universe(universe))).get("policy")
            if policy is None:
                raise refused(
                    "this node is no member of that universe (any more, or yet)", "universe.removed"
                )
            return render.plain(policy)
        return await self._do(inputs.SetPolicy(universe, params["invite"], params["remove"]))

    async def universe_leave(self, _: Connection, params: dict[str, Any]) -> Any:
        return await self._do(inputs.LeaveUniverse(self._find.universe(params["universe"]), params["force"]))

    async def universe_rejoin(self, _: Connection, params: dict[str, Any]) -> Any:
        return await self._do(inputs.Rejoin(self._find.universe(params["universe"])))

    async def universe_recover(self, _: Connection, params: dict[str, Any]) -> Any:
        return await self._do(inputs.Recover(self._find.universe(params["universe"])))

    async def message_send(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        message_id: bytes = params["id"] or os.urandom(16)
        body = _body(params["body"], params["encoding"])
        to = b""
        if params["to"] is not None:
            # Who is no member any more may be named for a message that was queued before.
            to = self._find.member(universe, params["to"], members_only=False)
        known = self._loop.store.history.own(universe, self._identity.identity_public_key, message_id)
        given = (body, params["type"], to)
        if known is not None and (known["body"], known["type"], known["to"] or b"") != given:
            raise refused("another message was sent with this id; draw a new one", "id_used")
        if known is not None and known["sent"] is not None:
            return self._sent(universe, message_id, known["sent"])
        expecting = self._loop.hub.expect_sent(universe, message_id)
        expectation = expecting.__enter__()
        try:
            command = inputs.SendMessage(universe, message_id, body, params["type"], params["refs"] or (), to)
            reply = await self._loop.submit(command, lambda outcome: self._own_message(command, outcome))
        except BaseException:
            expecting.__exit__(None, None, None)
            raise

        async def later() -> Any:
            try:
                outcome = await reply.wait()
                if outcome["state"] == "queued" and params["wait"]:
                    outcome = await expectation.wait(params["timeout"]) or outcome
            finally:
                expecting.__exit__(None, None, None)
            return self._sent(universe, message_id, outcome)

        return later

    def _sent(self, universe: bytes, message_id: bytes, outcome: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a send."""
        answer: dict[str, Any] = {"id": message_id.hex(), "state": render.state(outcome)}
        if answer["state"] == "sent":
            answer |= render.plain({name: outcome[name] for name in _SENT_MEMBERS})
        trouble = self._engine.trouble(universe)
        if trouble:
            answer["warning"] = _TROUBLES[trouble]
        return answer

    def _own_message(self, command: inputs.SendMessage, outcome: Any) -> OwnMessage:
        return OwnMessage(
            command.universe_id,
            self._identity.identity_public_key,
            self._engine.identity.name,
            command.message_id,
            command.content_type,
            command.refs,
            command.body,
            outcome,
            command.to,
        )

    async def message_history(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        page = self._loop.store.history.page(universe, params["before"], params["limit"] + 1)
        more = len(page) > params["limit"]
        messages: list[dict[str, Any]] = []
        size = 0
        for entry in reversed(page[-params["limit"] :]):
            shown = render.message(self._engine.named(universe, entry))
            size += len(render.encode_json(shown)) + 1
            if size > PAGE_BYTES and messages:
                more = True
                break
            messages.append(shown)
        return {"messages": messages[::-1], "more": more}

    async def security_update(self, _: Connection, params: dict[str, Any]) -> Any:
        reply = await self._loop.submit(inputs.UpdateKeys(self._find.universe(params["universe"])))

        async def later() -> Any:
            return {"epoch": render.plain(await reply.wait())}

        return later

    async def security_view(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        member = params["member"] and self._find.member(universe, params["member"])
        return render.plain(await self._loop.view(lambda engine: engine.security(universe, member)))

    async def fork_list(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        member = params["member"] and self._find.member(universe, params["member"])
        found = await self._loop.view(lambda engine: engine.forks(universe, member))
        return {"send_groups": render.plain(found)}

    async def evidence_list(self, _: Connection, params: dict[str, Any]) -> Any:
        universe = self._find.universe(params["universe"])
        return {"evidence": render.plain(await self._loop.view(lambda engine: engine.evidence(universe)))}

    async def peer_list(self, _: Connection, params: dict[str, Any]) -> Any:
        connected = [
            {
                "peer_id": peer.peer_id,
                "address": peer.address,
                "outbound": peer.outbound,
                "standing": peer.standing,
                "since": int(peer.since),
            }
            for peer in self._network.connected()
        ]
        known = await self._loop.view(lambda engine: engine.peers())
        return render.plain({"connected": connected, "known": known})

    async def _do(self, command: inputs.Command) -> Any:
        """Give a command to the loop now; its result, made plain, is the answer."""
        reply = await self._loop.submit(command)

        async def later() -> Any:
            return render.plain(await reply.wait())

        return later


def _body(text: str, encoding: str) -> bytes:
    if encoding == "utf8":
        return text.encode()
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise refused("the body is not base64", "bad_body") from None
