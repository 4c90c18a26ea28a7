"""Group ids derived from the founder's send group (draft-xue-distributed-mls-01, mode 0 of X-1).

For universes that are defined over the wire with all members at once; the daemon draws its ids at random
(mode 1), since the value changes with every epoch and a later member cannot compute it.
"""

from __future__ import annotations

from starling.protocol.distributed.export_psk import Export


def derived_group_id(export: Export, signature_key: bytes, length: int) -> bytes:
    """The send group id of the member whose leaf has the raw public key `signature_key`.

    `export` is that of the first epoch of the founder's group with this member; `length` is Nh of that group.
    """
    return export("derivedGroupId", signature_key, length)
