"""A member of a universe that is hostile: it signs and encrypts whatever it likes with the keys that it has."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.engine.forging import end, forged_commit, forged_message, packages
from tests.engine.small_network import Network, Node
from tests.fuzz import packed_target, values
from tests.fuzz.findings import REFUSALS
from tests.fuzz.kinds import PROPOSALS, Structure
from tests.fuzz.packed_values import change_packed, packed
from tests.fuzz.pieces import changed, pieces

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.decentralized.dmls_message import DMLSMessage
from starling.protocol.distributed import component_ids, heads, labels
from starling.protocol.distributed.application import HEADS, ApplicationData
from starling.protocol.distributed.denial import Denial, Sighting
from starling.protocol.distributed.dependency import Dependency, _Dependencies
from starling.protocol.distributed.dmls_resolve import ClosedHead, build_resolve
from starling.protocol.distributed.evidence import Evidence
from starling.protocol.distributed.invite_id import invite_id_of
from starling.protocol.distributed.key_packages import _KeyPackages
from starling.protocol.distributed.leaf_replace import LeafReplace
from starling.protocol.distributed.peer_address import PeerAddress, PeerAddressTBS
from starling.protocol.distributed.roster_entry import RosterEntry, decode_entry, tbs_of
from starling.protocol.engine.inputs import (
    DialFailed,
    FrameReceived,
    Input,
    MessageFromPeer,
    OwnAddresses,
    PeerConnected,
    PeerDisconnected,
    Wake,
)
from starling.protocol.errors import UsageError
from starling.protocol.exchange import messages
from starling.protocol.exchange.frame import CommitFrame, MessageFrame, decode_frame
from starling.protocol.exchange.member_messages import Frames, Hello, Profiles, RosterEntries
from starling.protocol.exchange.message import VERSION, Message
from starling.protocol.exchange.readmission_messages import Denied, Sighted
from starling.protocol.mls.key_package import KeyPackage
from starling.protocol.mls.proposal import Add, AppDataUpdate, AppEphemeral, PreSharedKey, Proposal, Remove
from starling.protocol.packed import pack, unpack


class HostileMember:
    """A member with its keys and its whole state, and what its victim is told in its name."""

    def __init__(
        self,
        rng: random.Random,
        network: Network,
        universe: bytes,
        nodes: list[Node],
        mallory: Node,
        victim: Node,
    ) -> None:
        self.rng = rng
        self.network = network
        self.universe = universe
        self.nodes = nodes
        self.mallory = mallory
        self.victim = victim
        self.random = mallory.random_source()
        held = mallory.rows.items()
        self.frames = [value for (table, _), value in sorted(held) if table == "frame"]
        self.said = [messages.attach(send.encode(), list(frames)) for _, send, frames in victim.told]

    def something(self) -> Input | None:
        """The next input; None where what was made up has no wire form."""
        if self.mallory not in self._owners():  # by an entry of its own, or of the founder, it was removed
            return self.rng.choice((self.changed_traffic, self.network_event))()
        ways: tuple[Callable[[], Input], ...] = (
            self.changed_traffic,
            self.made_up_message,
            self.text,
            self.commit,
            self.commit,
            self.frame,
            self.roster_entries,
            self.profiles,
            self.two_nodes,
            self.network_event,
        )
        try:
            return self.rng.choice(ways)()
        except (UsageError, *REFUSALS, OverflowError):
            return None

    def _owners(self) -> list[Node]:
        """Whose groups mallory is in."""
        groups = self.mallory.universe(self.universe).groups.values()
        owners = {state.owner for state in groups}
        return [node for node in self.nodes if node.me in owners]

    # wrapping

    def tell(self, message: Message, frames: list[bytes] | None = None) -> Input:
        return MessageFromPeer(self.mallory.id, messages.attach(message.encode(), frames or []))

    def pass_on(self, frame: bytes) -> Input:
        """A frame by gossip, or in an answer."""
        if self.rng.random() < 0.5:
            return FrameReceived(self.mallory.id, frame)
        frames = [frame, self.rng.choice(self.frames)] if self.frames else [frame]
        fields = [packed(self.rng, pattern) for pattern in Frames.patterns]
        return self.tell(Frames(self.universe, *fields[1:]), frames)

    def change_packed(self, data: bytes) -> bytes:
        """Packed bytes with something changed, at any depth of packing."""
        try:
            held = unpack(data, max_bytes=2**24)
        except REFUSALS:
            return values.change_bytes(self.rng, data)
        return pack(self._deep(held))

    def _deep(self, held: Any) -> Any:
        if isinstance(held, list) and held and self.rng.random() < 0.6:
            at = self.rng.randrange(len(held))
            return [*held[:at], self._deep(held[at]), *held[at + 1 :]]
        if isinstance(held, bytes) and self.rng.random() < 0.6:
            return self.change_packed(held)
        return change_packed(self.rng, held)

    # what it says

    def changed_traffic(self) -> Input:
        if self.said and self.rng.random() < 0.7:
            try:
                changed_ = self.change_packed(self.rng.choice(self.said))
            except UsageError:  # it can no longer be packed
                changed_ = values.change_bytes(self.rng, self.rng.choice(self.said))
            return MessageFromPeer(self.mallory.id, changed_)
        return FrameReceived(self.mallory.id, self.change_packed(self.rng.choice(self.frames)))

    def made_up_message(self) -> Input:
        """Any message, in which known ids stand where ids may stand."""
        cls = self.rng.choice(sorted(messages._KINDS.values(), key=lambda kind: kind.kind))
        fields = [self._known(packed(self.rng, pattern)) for pattern in cls.patterns]
        fields[0] = self.universe
        body = pack([VERSION, cls.kind, fields])
        frames = self.rng.sample(self.frames, min(2, len(self.frames)))
        return MessageFromPeer(self.mallory.id, messages.attach(body, frames))

    def _known(self, held: Any) -> Any:
        if isinstance(held, list):
            return [self._known(item) for item in held]
        if isinstance(held, bytes) and len(held) >= 32 and self.rng.random() < 0.7:
            return self.rng.choice(self._ids())
        return held

    def _ids(self) -> list[bytes]:
        universe = self.mallory.universe(self.universe)
        found = [node.me for node in self.nodes]
        for state in universe.groups.values():
            found += [state.group_id, state.graph.head]
        return [*found, *sorted(universe.roster.ids), universe.roster.digest]

    def two_nodes(self) -> Input:
        """That somebody starts anew, or denies to be who does, signed by mallory or by nobody."""
        rng, universe = self.rng, self.mallory.universe(self.universe)
        heads_ = {rng.choice((*self._ids(), b"h")) for _ in range(rng.choice((1, 1, 2, 8)))}
        shown = Sighting.sign(
            self.mallory.identity,
            universe_id=self.universe,
            former_group_id=rng.choice((universe.group_id, *self._ids())),
            send_group_id=rng.choice((b"m" * 32, b"n" * 32, rng.choice(self._ids()))),
            heads=tuple(sorted(heads_)),
        )
        if rng.random() < 0.4:
            group_id = rng.choice(list(universe.groups))
            shown = replace(shown, identity=universe.groups[group_id].owner, former_group_id=group_id)
        if rng.random() < 0.5:
            return self.tell(Sighted(self.universe, shown.encode()))
        leaf = universe.own.head.tree.leaf(0)
        assert leaf is not None
        told = Evidence.of(leaf, (), [Denial.sign(universe.signature_private_key, shown)]).encode()
        return self.tell(
            Denied(self.universe, values.change_bytes(rng, told) if rng.random() < 0.2 else told)
        )

    def text(self) -> Input:
        """An application message that mallory's own group, or its knowledge of another, lets it encrypt."""
        owner = self.mallory if self.rng.random() < 0.8 else self.rng.choice(self._owners())
        aad = b"\x00" if self.rng.random() < 0.8 else self.rng.randbytes(self.rng.choice((0, 1, 20)))
        frame = forged_message(
            self.mallory, self.universe, owner, self._application(), authenticated_data=aad
        )
        return self.pass_on(frame)

    def _application(self) -> bytes:
        match self.rng.randrange(5):
            case 0:
                return self.rng.randbytes(self.rng.choice((0, 1, 40)))
            case 1:
                *fields, rows = self._known(packed_target.make_report(self.rng))
                told = self.mallory.universe(self.universe).told
                if told is not None and self.rng.random() < 0.5:
                    fields[0] = told.name
                body = pack([*fields, sorted(rows, key=heads._order)])
                if self.rng.random() < 0.5:
                    body = self.change_packed(body)
                return ApplicationData(HEADS, self.rng.randbytes(16), (), body).encode()
            case 2:
                kind = self.rng.choice((HEADS, "address", "ack", "roster", "report", "direct", "text"))
                body = self.rng.randbytes(self.rng.choice((0, 30)))
                return ApplicationData(kind, self.rng.randbytes(16), (), body).encode()
            case 3:
                name = "ApplicationData"
                return pack(packed_target.TARGETS[name].make(self.rng))
            case _:
                made = packed_target.TARGETS["ApplicationData"].make(self.rng)
                return pack(change_packed(self.rng, made))

    def commit(self) -> Input:
        """A commit in mallory's own group, whose keys it has all."""
        listed = [self._proposal() for _ in range(self.rng.choice((0, 1, 1, 2)))]
        path = self.rng.random() < 0.6 or any(proposal.requires_path for proposal in listed)
        if self.rng.random() < 0.85:
            listed.append(end(self.mallory, self.universe))
        if path and self.rng.random() < 0.85:
            listed.append(packages(self.mallory, self.universe))
        psks = {p.psk.psk_id: bytes(32) for p in listed if isinstance(p, PreSharedKey) and p.psk.psk_id}
        frame = forged_commit(
            self.mallory,
            self.universe,
            self.mallory,
            listed,
            path=path,
            psks=psks,
            authenticated_data=b"\x00" if self.rng.random() < 0.9 else self.rng.randbytes(3),
        )
        if self.rng.random() < 0.3:
            frame = self._changed_commit_frame(frame)
        return self.pass_on(frame)

    def _changed_commit_frame(self, data: bytes) -> bytes:
        frame = decode_frame(data)
        assert isinstance(frame, CommitFrame)
        match self.rng.randrange(3):
            case 0:
                return replace(
                    frame, head_statement=values.change_bytes(self.rng, frame.head_statement)
                ).encode()
            case 1:
                return replace(frame, welcome=values.change_bytes(self.rng, frame.welcome)).encode()
            case _:
                others = [held for held in map(decode_frame, self.frames) if isinstance(held, CommitFrame)]
                other = self.rng.choice(others) if others else frame
                return replace(frame, welcome=other.welcome, head_statement=other.head_statement).encode()

    def _proposal(self) -> Proposal:
        rng = self.rng
        match rng.randrange(9):
            case 0:
                return AppEphemeral(component_ids.DMLS_DEPS, self._dependencies())
            case 1:
                return AppEphemeral(
                    component_ids.EPOCH_END, rng.choice((b"", bytes(4), b"\xff" * 4, bytes(5)))
                )
            case 2:
                listed = _KeyPackages(tuple(self._key_package() for _ in range(rng.choice((0, 1, 2, 9)))))
                tree = pieces(Structure(_KeyPackages), listed)
                data = changed(rng, tree) if rng.random() < 0.3 else listed.encode()
                return AppEphemeral(component_ids.KEY_PACKAGES, data)
            case 3:
                return Add(self._key_package())
            case 4:
                index = rng.choice((0, 1, 2, 3, 4, 2**31, 2**32 - 1))
                return LeafReplace(index, self._key_package().leaf_node)
            case 5:
                return Remove(rng.choice((0, 1, 2, 3, 4, 2**32 - 1)))
            case 6:
                digest = rng.choice((bytes(32), b"", bytes(31)))
                return AppDataUpdate(rng.choice((component_ids.ROSTER_DIGEST, 0x8D01, 1)), 1, digest)
            case 7:
                return AppEphemeral(component_ids.DMLS_RESOLVE, self._resolve())
            case _:
                made: Proposal = values.value(rng, PROPOSALS)
                return made

    def _resolve(self) -> bytes:
        """Closes branches that the victim knows, or others."""
        state = self.victim.universe(self.universe).groups.get(self.mallory.universe(self.universe).group_id)
        known = list(state.graph.epochs) if state is not None else []
        heads_ = {self.rng.choice((*known, *self._ids())) for _ in range(self.rng.choice((1, 2, 5)))}
        return build_resolve(
            ClosedHead(head, self.rng.choice((0, 1, 2, 2**64 - 1))) for head in sorted(heads_)
        )

    def _dependencies(self) -> bytes:
        """Imports of epochs that are there, or are not."""
        states = list(self.mallory.universe(self.universe).groups.values())
        deps = []
        for _ in range(self.rng.choice((0, 1, 2, 5))):
            state = self.rng.choice(states)
            deps.append(Dependency(state.group_id, state.graph.head_info.number, state.graph.head))
        listed = _Dependencies(tuple(deps))
        for _ in range(self.rng.choice((0, 1, 2))):
            listed = values.change_structure(self.rng, listed)
        return listed.encode()

    def _key_package(self) -> KeyPackage:
        """A key package of mallory's, changed and signed anew."""
        universe = self.mallory.universe(self.universe)
        package = self.rng.choice(universe.bundles.newest())
        if self.rng.random() < 0.2:
            return package
        private_key = universe.signature_private_key
        suite = cipher_suite(package.cipher_suite)
        leaf = values.change_structure(self.rng, package.leaf_node)
        leaf = leaf.sign(suite, private_key, b"", 0)
        package = replace(package, leaf_node=leaf)
        if self.rng.random() < 0.4:
            package = values.change_structure(self.rng, package)
        unsigned = replace(package, signature=b"").encode()[:-1]
        return replace(package, signature=suite.sign_with_label(private_key, "KeyPackageTBS", unsigned))

    def frame(self) -> Input:
        """A real frame with another header, or cut from a piece of it."""
        frame = decode_frame(self.rng.choice(self.frames))
        assert isinstance(frame, CommitFrame | MessageFrame)
        data = frame.dmls_message
        if self.rng.random() < 0.5:
            data = values.change_bytes(self.rng, data)
        else:
            held = values.change_structure(self.rng, DMLSMessage.decode(data))
            data = held.encode()
        return self.pass_on(replace(frame, dmls_message=data).encode())

    def roster_entries(self) -> Input:
        """Entries that mallory signs, whatever they say."""
        roster = self.mallory.universe(self.universe).roster
        entries = tuple(self._entry(roster.entries()) for _ in range(self.rng.choice((1, 2, 5))))
        cls = self.rng.choice((Hello, RosterEntries))
        return self.tell(cls(self.universe, entries))

    def _entry(self, held: tuple[bytes, ...]) -> bytes:
        """An entry by mallory after what it knows, with something in it that is not as it should be."""
        rng, me = self.rng, self.mallory.me
        roster = self.mallory.universe(self.universe).roster
        entry: RosterEntry = decode_entry(rng.choice(held))
        if rng.random() < 0.4:
            name = rng.choice(("Invite", "Removal", "Founding", "Topic", "Admission"))
            kind = {"Invite": 1, "Removal": 4, "Founding": 5, "Topic": 6, "Admission": rng.choice((2, 7))}[
                name
            ]
            body = packed_target.TARGETS[name].make(rng)
            entry = replace(entry, kind=kind, body=pack(self._known(body) if rng.random() < 0.5 else body))
            if name == "Invite" and rng.random() < 0.8:
                entry = replace(entry, subject=invite_id_of(me, body[0]))
        elif rng.random() < 0.5:
            entry = replace(entry, body=self.change_packed(entry.body))
        if rng.random() < 0.4:
            entry = replace(entry, subject=rng.choice((me, *self._ids())))
        if rng.random() < 0.3:
            entry = replace(entry, kind=rng.choice((1, 2, 4, 5, 6, 7)))
        predecessors = roster._predecessors(me, ())
        if rng.random() < 0.2:
            predecessors = tuple(rng.sample(sorted(roster.ids), rng.randrange(min(4, len(roster.ids)))))
        version = roster._graph.next_version(me, roster._graph.ancestors_of(predecessors))
        entry = replace(
            entry,
            universe_id=self.universe,
            author=me,
            version=max(1, version + rng.choice((0, 0, 0, 0, 1, -1))),
            predecessors=tuple(sorted(predecessors)),
        )
        if rng.random() < 0.2:
            entry = values.change_structure(rng, entry)
        return replace(entry, signature=self.mallory.identity.sign(labels.ROSTER, tbs_of(entry))).encode()

    def profiles(self) -> Input:
        listed = tuple(
            (tuple(self._key_package().encode() for _ in range(self.rng.choice((0, 1, 2)))), self._address())
            for _ in range(self.rng.choice((1, 2)))
        )
        return self.tell(Profiles(self.universe, listed))

    def _address(self) -> bytes:
        identity = self.mallory.identity
        made = PeerAddress.sign(
            identity, universe_id=self.universe, serial=2**50, addresses=("/ip4/1.2.3.4",)
        )
        made = values.change_structure(self.rng, made)
        tbs = PeerAddressTBS(made.universe_id, made.peer_id, made.serial, made.addresses)
        forged: bytes = replace(made, signature=identity.sign_as_peer(labels.ADDRESS, tbs.encode())).encode()
        return forged

    def network_event(self) -> Input:
        peer = self.rng.choice((self.mallory.id, self.rng.choice(self.nodes).id, self.rng.randbytes(38)))
        if peer == self.victim.id:
            peer = self.mallory.id
        return self.rng.choice(
            (
                Wake(),
                PeerConnected(peer),
                PeerDisconnected(peer),
                DialFailed(peer),
                OwnAddresses(("/memory/x",)),
            )
        )
