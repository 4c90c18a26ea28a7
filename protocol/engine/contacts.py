"""What this node's user has noted of people: a petname, and whether the pair's number was compared.

It is about identities, so it holds in every universe, and it never leaves this node. Contacts are made by the user
alone, so nobody else can fill this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from starling.protocol.distributed.identity import NAME_LENGTH, check_name
from starling.protocol.distributed.look_alike import skeleton
from starling.protocol.engine.context import Context
from starling.protocol.errors import UsageError
from starling.protocol.packed import Either, Text, Uint, pack, shape, unpack

TABLE = "contact"

_ROW = (Text(NAME_LENGTH), Either(None, Uint()), Text(NAME_LENGTH))


@dataclass(frozen=True, slots=True)
class Contact:
    """One person. `petname` is empty where there is none; `verified_at`, in milliseconds, is when the number was
    compared, and `verified_name` what the person was called then."""

    petname: str = ""
    verified_at: int | None = None
    verified_name: str = ""


class ContactBook:
    """Contacts by identity key (32 bytes)."""

    def __init__(self, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.contacts = {key: Contact(*shape(unpack(row, max_bytes=1024), _ROW)) for key, row in rows}
        self.revision = 0
        """Higher after every change."""

    def get(self, identity: bytes) -> Contact:
        return self.contacts.get(identity, Contact())

    def set_petname(self, ctx: Context, identity: bytes, petname: str) -> None:
        """Call a person this from now on, or with an empty text as it calls itself. Raises `UsageError` for what is no
        name, and for one that looks like the petname of another person: two would be taken for each other."""
        if petname:
            check_name(petname)
            for other, contact in self.contacts.items():
                if other != identity and contact.petname and skeleton(contact.petname) == skeleton(petname):
                    raise UsageError(
                        f"{contact.petname!r} is your name for {other.hex()[:16]} already; choose another, or clear "
                        "that one first",
                        "petname.used",
                    )
        self._set(ctx, identity, replace(self.get(identity), petname=petname))

    def set_verified(self, ctx: Context, identity: bytes, name: str | None) -> None:
        """Note that the pair's number was compared with the person that is called `name`; None takes it back."""
        verified_at = None if name is None else ctx.now
        self._set(
            ctx, identity, replace(self.get(identity), verified_at=verified_at, verified_name=name or "")
        )

    def _set(self, ctx: Context, identity: bytes, contact: Contact) -> None:
        self.revision += 1
        if contact == Contact():
            self.contacts.pop(identity, None)
            ctx.delete(TABLE, identity)
            return
        self.contacts[identity] = contact
        ctx.put(TABLE, identity, pack([contact.petname, contact.verified_at, contact.verified_name]))
