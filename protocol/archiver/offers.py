"""The offers of an archiver: by each one universe may name it, under a key of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from starling.protocol.crypto.cipher_suite import cipher_suite
from starling.protocol.distributed.archiver_offer import ArchiverOffer
from starling.protocol.distributed.identity import Identity
from starling.protocol.engine.context import Context
from starling.protocol.errors import UsageError
from starling.protocol.packed import Blob, Uint, pack, shape, unpack

MAX_OFFERS = 64
"""Offers that no universe has taken up; the oldest goes for a new one."""

_ROW = (Blob.of(32), Blob.of(32), Blob.of(32), Blob(32), Uint())


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer: its token, the HPKE key pair (X25519), and the universe that named the archiver by it, if any."""

    token: bytes = field(repr=False)
    private_key: bytes = field(repr=False)
    public_key: bytes
    universe_id: bytes
    made_at: int


def _key(token: bytes) -> bytes:
    """The key of an offer's row: keys are not sealed, and who has an unused token can take the offer up."""
    return hashlib.sha256(token).digest()


def _scope(token: bytes) -> bytes:
    """The sealing scope of one offer: its key is destroyed with it."""
    return b"offer:" + _key(token)


class Offers:
    """All offers, oldest first."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._offers: dict[bytes, Offer] = {}

    def make(self, ctx: Context, addresses: tuple[str, ...]) -> str:
        """A new offer's text."""
        if not addresses:
            raise UsageError("this node does not listen anywhere; members could not reach it", "no_address")
        unused = [offer for offer in self._offers.values() if not offer.universe_id]
        if len(unused) >= MAX_OFFERS:
            self.forget(ctx, unused[0])
        private_key, public_key = cipher_suite(1).hpke_generate(ctx.random)
        offer = Offer(ctx.random(32), bytes(private_key), public_key, b"", ctx.now)
        self._save(ctx, offer)
        identity = self._identity
        return ArchiverOffer(
            identity.identity_public_key, identity.name, identity.peer_id, public_key, offer.token, addresses
        ).text(identity)

    def unused(self, token: bytes) -> Offer | None:
        """The offer of a token that no universe has taken up."""
        offer = self._offers.get(token)
        return offer if offer is not None and not offer.universe_id else None

    def of_universe(self, universe_id: bytes) -> Offer | None:
        return next((offer for offer in self._offers.values() if offer.universe_id == universe_id), None)

    def take_up(self, ctx: Context, offer: Offer, universe_id: bytes) -> None:
        """A universe has named this archiver by an offer: it serves no other one."""
        self._save(ctx, replace(offer, universe_id=universe_id))

    def forget(self, ctx: Context, offer: Offer) -> None:
        """An offer ends, and its key with it."""
        del self._offers[offer.token]
        ctx.delete("offer", _key(offer.token))
        ctx.erase(_scope(offer.token))

    def __len__(self) -> int:
        return len(self._offers)

    def _save(self, ctx: Context, offer: Offer) -> None:
        self._offers[offer.token] = offer
        row = [offer.token, offer.private_key, offer.public_key, offer.universe_id, offer.made_at]
        ctx.put("offer", _key(offer.token), pack(row), _scope(offer.token))

    def load(self, row: bytes) -> None:
        token, private_key, public_key, universe_id, made_at = shape(unpack(row, max_bytes=1024), _ROW)
        self._offers[token] = Offer(token, private_key, public_key, universe_id, made_at)

    def finish_loading(self) -> None:
        self._offers = dict(sorted(self._offers.items(), key=lambda item: item[1].made_at))
