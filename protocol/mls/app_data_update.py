"""Applying AppDataUpdate proposals to the GroupContext's dictionary (extensions draft §4.7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starling.protocol.errors import Invalid
from starling.protocol.mls.components import AppDataDictionary, read_dictionary, with_dictionary
from starling.protocol.mls.extension import Extension
from starling.protocol.mls.proposal import AppDataUpdate, AppDataUpdateOperation
from starling.protocol.mls.rules import Rule

Updater = Callable[[int, bytes | None, Sequence[bytes]], bytes]
"""The application's logic: component id, current data or None, updates in order; gives the new data."""


def check_app_data_updates(proposals: Sequence[AppDataUpdate]) -> None:
    """A component has a single remove, or updates only. Raises `Invalid(APP_DATA_LIST)`."""
    remove = AppDataUpdateOperation.REMOVE
    removed = [proposal.component_id for proposal in proposals if proposal.op == remove]
    updated = {proposal.component_id for proposal in proposals if proposal.op != remove}
    if len(removed) != len(set(removed)) or updated & set(removed):
        raise Invalid(Rule.APP_DATA_LIST)


def apply_app_data_updates(
    extensions: tuple[Extension, ...], proposals: Sequence[AppDataUpdate], update: Updater
) -> tuple[Extension, ...]:
    """The extensions with the dictionary changed; raises `Invalid(APP_DATA_ABSENT)` where nothing is
    removed."""
    if not proposals:
        return extensions
    dictionary = read_dictionary(extensions) or AppDataDictionary()
    updates: dict[int, list[bytes]] = {}
    for proposal in proposals:
        if proposal.op == AppDataUpdateOperation.REMOVE:
            if dictionary.get(proposal.component_id) is None:
                raise Invalid(Rule.APP_DATA_ABSENT, f"component {proposal.component_id}")
            dictionary = dictionary.with_component(proposal.component_id, None)
        else:
            updates.setdefault(proposal.component_id, []).append(proposal.update or b"")
    for component_id, values in updates.items():
        data = update(component_id, dictionary.get(component_id), values)
        dictionary = dictionary.with_component(component_id, data)
    return with_dictionary(extensions, dictionary)
