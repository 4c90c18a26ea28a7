"""The attacks can succeed: with one safeguard taken out of the product, a named test fails because the thief reads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from tests.attack import (
    test_direct,
    test_forward_secrecy,
    test_healing,
    test_joining_window,
    test_nothing_remains,
    test_put_back,
    test_removal,
    test_two_thefts,
)
from tests.attack.scene import Breach, Scene

from starling.protocol.decentralized.key_schedule import PuncturedKeySchedule
from starling.protocol.distributed.application import ApplicationData
from starling.protocol.distributed.psk_ledger import PskLedger
from starling.protocol.engine import (
    aligning,
    boot,
    bundles,
    direct,
    epochs,
    imports,
    own_group,
    received_commits,
    received_messages,
    retention,
)
from starling.protocol.engine.bundles import BundleStore
from starling.protocol.engine.context import Context
from starling.protocol.engine.group_state import GroupState
from starling.protocol.mls.group import Group
from starling.protocol.mls.key_schedule import EpochSecrets
from starling.protocol.mls.ratchet import Ratchet

Patch = Callable[[pytest.MonkeyPatch], None]


def nothing(*args: Any, **kwargs: Any) -> None:
    """In place of what is taken out."""


def without_wiping(patches: pytest.MonkeyPatch) -> None:
    """A settled epoch is forgotten in memory, and stays in the store."""
    patches.setattr(
        GroupState, "drop_state", lambda self, ctx, dmls_epoch: self._states.pop(dmls_epoch, None) and None
    )


def without_wiping_in_memory(patches: pytest.MonkeyPatch) -> None:
    """What leaves the store stays with something that still refers to it."""
    original: Any = GroupState.drop_state
    left_over: list[Group | None] = []

    def drop_state(state: GroupState, ctx: Context, dmls_epoch: bytes) -> None:
        left_over.append(state.state(dmls_epoch))
        original(state, ctx, dmls_epoch)

    patches.setattr(GroupState, "drop_state", drop_state)
    patches.setattr(Group, "wipe", nothing)


def without_erasing(patches: pytest.MonkeyPatch) -> None:
    """Rows are deleted, and the keys that open what is left of them on the disk are kept."""
    patches.setattr(Context, "erase", nothing)


def without_settling(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(retention, "settled_epochs", lambda *arguments, **named: [])


def without_consuming(patches: pytest.MonkeyPatch) -> None:
    original: Any = Ratchet.consume

    def consume(ratchet: Ratchet, generation: int) -> None:
        key = ratchet.peek(generation)
        original(ratchet, generation)
        ratchet._skipped[generation] = key

    patches.setattr(Ratchet, "consume", consume)


def without_puncture(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(PuncturedKeySchedule, "puncture", nothing)


def without_deleting_the_exporter_secret(patches: pytest.MonkeyPatch) -> None:
    original: Any = EpochSecrets.take

    def take(secrets: EpochSecrets, name: str) -> bytes:
        return secrets.get(name) if name == "exporter_secret" else original(secrets, name)

    patches.setattr(EpochSecrets, "take", take)


def without_deleting_the_encryption_secret(patches: pytest.MonkeyPatch) -> None:
    original: Any = EpochSecrets.take

    def take(secrets: EpochSecrets, name: str) -> bytes:
        return secrets.get(name) if name == "encryption_secret" else original(secrets, name)

    patches.setattr(EpochSecrets, "take", take)


def without_import(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(own_group, "importable", lambda *arguments: [])


def without_path(patches: pytest.MonkeyPatch) -> None:
    original: Any = imports.import_now
    patches.setattr(imports, "import_now", lambda ctx, universe, with_path=False: original(ctx, universe))


def without_leaf_replacement(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(own_group, "_newer_leaves", lambda *arguments: [])


def without_wiping_the_ledger(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(retention, "_drop_psks", nothing)


def without_the_limit_of_the_ledger(patches: pytest.MonkeyPatch) -> None:
    original: Any = PskLedger.unneeded
    patches.setattr(PskLedger, "unneeded", lambda self, now, *others: original(self, 0, *others))


def without_forgetting_key_packages(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(BundleStore, "forget", nothing)


def without_an_erasable_key(patches: pytest.MonkeyPatch) -> None:
    """Private keys of KeyPackages are sealed by the key that lasts: deleting them does not take them from the disk."""
    patches.setattr(BundleStore, "_scope", staticmethod(lambda key: b""))


def without_the_limit_of_key_packages(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(bundles, "KEY_PACKAGE_RETENTION", 2**62)


def without_the_import_of_a_joiner(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(received_commits, "note_update", nothing)


def without_boot_commit(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(boot, "boot_commit", lambda ctx, universe: setattr(universe.boot, "done", True))


def without_generation_draw(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(Context, "between", lambda self, least, most: least)


def without_removal(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(aligning, "removed_leaves", lambda *arguments: [])


def without_leaving(patches: pytest.MonkeyPatch) -> None:
    patches.setattr(GroupState, "delete", nothing)


def without_forgetting_the_secrets_of_direct_messages(patches: pytest.MonkeyPatch) -> None:
    for module in (epochs, received_messages, retention):
        patches.setattr(module, "let_go_of_targeted", nothing)


def without_the_seal_to_one_leaf(patches: pytest.MonkeyPatch) -> None:
    """What is for one member goes as it is, in a message to all."""
    patches.setattr(
        direct, "seal", lambda ctx, universe, leaf_index, message: ApplicationData.decode(message)
    )


MUTATIONS: list[tuple[Patch, Callable[..., None]]] = [
    (
        without_wiping,
        test_forward_secrecy.test_a_message_that_was_given_up_is_not_read_once_its_epoch_has_gone,
    ),
    (
        without_settling,
        test_nothing_remains.test_a_settled_epoch_leaves_no_secret_in_memory_or_on_the_disk,
    ),
    (without_erasing, test_nothing_remains.test_an_erased_key_of_the_store_is_nowhere_any_more),
    (
        without_an_erasable_key,
        test_nothing_remains.test_a_settled_epoch_leaves_no_secret_in_memory_or_on_the_disk,
    ),
    (
        without_wiping_in_memory,
        test_nothing_remains.test_a_settled_epoch_leaves_no_secret_in_memory_or_on_the_disk,
    ),
    (
        without_settling,
        test_forward_secrecy.test_a_silent_member_holds_up_forward_secrecy_for_a_week_and_no_longer,
    ),
    (without_settling, test_two_thefts.test_a_second_theft_long_after_the_first_opens_nothing),
    (
        without_consuming,
        test_forward_secrecy.test_a_consumed_message_of_a_live_epoch_is_not_read_and_a_later_one_is,
    ),
    (
        without_forgetting_the_secrets_of_direct_messages,
        test_direct.test_what_opens_direct_messages_goes_with_the_end_of_its_epoch,
    ),
    (
        without_the_seal_to_one_leaf,
        test_direct.test_it_takes_the_epoch_and_the_leaf_key_of_the_recipient_together,
    ),
    (without_puncture, test_forward_secrecy.test_a_retained_parent_does_not_lead_to_its_child_again),
    (
        without_deleting_the_encryption_secret,
        test_forward_secrecy.test_a_consumed_message_of_a_live_epoch_is_not_read_and_a_later_one_is,
    ),
    (
        without_deleting_the_exporter_secret,
        test_two_thefts.test_the_head_of_an_update_does_not_give_its_psk_again,
    ),
    (without_import, test_healing.test_another_group_is_healed_when_it_imports_the_update_without_a_path_too),
    (without_path, test_healing.test_the_own_group_is_healed_by_a_path_commit_and_by_nothing_less),
    (without_leaf_replacement, test_two_thefts.test_a_second_theft_long_after_the_first_opens_nothing),
    (without_wiping_the_ledger, test_two_thefts.test_a_second_theft_long_after_the_first_opens_nothing),
    (
        without_the_limit_of_the_ledger,
        test_two_thefts.test_a_silent_member_holds_up_the_wiping_for_a_week_and_no_longer,
    ),
    (
        without_forgetting_key_packages,
        test_joining_window.test_the_init_key_goes_with_its_successor_and_what_it_opened_is_closed,
    ),
    (
        without_the_limit_of_key_packages,
        test_two_thefts.test_a_silent_member_holds_up_the_wiping_for_a_week_and_no_longer,
    ),
    (
        without_the_import_of_a_joiner,
        test_joining_window.test_the_first_key_package_opens_all_groups_until_the_first_path_commit_is_imported,
    ),
    (without_boot_commit, test_put_back.test_a_node_that_is_put_back_says_nothing_that_the_copy_opens),
    (without_boot_commit, test_put_back.test_a_node_that_is_put_back_uses_no_key_again),
    (without_generation_draw, test_put_back.test_a_node_that_is_put_back_uses_no_key_again),
    (without_removal, test_removal.test_after_each_owners_removal_the_removed_member_reads_nothing_of_it),
    (without_leaving, test_removal.test_a_removed_member_keeps_nothing_for_a_later_thief),
]


@pytest.mark.parametrize(("patch", "caught_by"), MUTATIONS, ids=lambda item: item.__name__)
def test_a_safeguard_that_is_taken_out_is_missed(
    monkeypatch: pytest.MonkeyPatch, patch: Patch, caught_by: Callable[..., None]
) -> None:
    monkeypatch.setattr(Scene, "at_rest", staticmethod(lambda: patch(monkeypatch)))
    with pytest.raises(Breach):
        if inspect.signature(caught_by).parameters:
            with test_nothing_remains.aftermath(test_nothing_remains.little_happens) as after:
                caught_by(after)
        else:
            caught_by()
