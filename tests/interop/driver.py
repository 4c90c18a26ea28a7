#!/usr/bin/env python3
"""An MLS client that is driven by one JSON object a line on standard input, answering on standard output.

A request is `{"cmd": ..., ...}`, an answer `{"ok": true, ...}` or `{"ok": false, "error": ..., "rule": ...}`
where `rule` names the broken clause, or is null. Bytes are hex, messages complete MLSMessages. One process
holds many groups under names: `group`, by default the group id in hex. Nothing on standard input ends it but
`quit` and the end of the input.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# Run as a program, the repository is not on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.interop.arguments import Arguments, message_body
from tests.interop.clients import (
    DEFAULT_LIFETIME,
    RULES,
    lifetime_of,
    read_client,
    with_signature_key,
)
from tests.interop.member import CommitWish, Member, PskStore
from tests.interop.proposals import read_proposal

from starling.protocol.crypto.cipher_suite import CIPHER_SUITES, cipher_suite
from starling.protocol.errors import Invalid, StarlingError, UsageError
from starling.protocol.mls import (
    Client,
    Group,
    GroupInfo,
    KeyPackage,
    KeyPackageBundle,
    MLSMessage,
    RatchetTree,
    Welcome,
)

Answer = dict[str, Any]


class Driver:
    """The state of one process: key packages, PSKs and groups."""

    def __init__(self) -> None:
        self.done = False
        self._psks = PskStore()
        self._members: dict[str, Member] = {}
        self._bundles: dict[bytes, tuple[Client, KeyPackageBundle]] = {}
        self._commands: dict[str, Callable[[Arguments], Answer]] = {
            name.removeprefix("do_"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    def handle(self, line: str) -> str:
        """The answer to one line. Never raises."""
        try:
            answer = {"ok": True, **self._run(line)}
        except RecursionError:
            answer = _failure("the request is nested too deeply")
        except StarlingError as error:
            rule = error.rule.name if isinstance(error, Invalid) else None
            answer = _failure(f"{type(error).__name__}: {error}", rule)
        except Exception as error:
            answer = _failure(f"fault of this program: {type(error).__name__}: {error}")
        return json.dumps(answer)

    def _run(self, line: str) -> Answer:
        try:
            request = json.loads(line)
        except ValueError as error:
            raise UsageError(f"not JSON: {error}", "bad_json") from None
        if not isinstance(request, dict):
            raise UsageError("a request is a JSON object", "bad_json")
        command = request.get("cmd")
        run = self._commands.get(command) if isinstance(command, str) else None
        if run is None:
            raise UsageError(f"no such command: {command!r}", "unknown_command")
        return run(Arguments(request))

    # without a group

    def do_hello(self, arguments: Arguments) -> Answer:
        return {"suites": sorted(CIPHER_SUITES), "commands": sorted(self._commands)}

    def do_quit(self, arguments: Arguments) -> Answer:
        self.done = True
        return {}

    def do_key_package(self, arguments: Arguments) -> Answer:
        client = read_client(arguments)
        seconds = arguments.integer("lifetime", DEFAULT_LIFETIME, least=-(2**63))
        bundle = client.key_package(lifetime_of(seconds), random=os.urandom)
        reference = bundle.key_package.reference()
        self._bundles[reference] = client, bundle
        return {"key_package": MLSMessage.of(bundle.key_package).encode().hex(), "ref": reference.hex()}

    def do_add_psk(self, arguments: Arguments) -> Answer:
        self._psks.external[arguments.binary("psk_id")] = arguments.binary("psk")
        return {}

    # entering a group

    def do_create_group(self, arguments: Arguments) -> Answer:
        group_id = arguments.binary("group_id", os.urandom(16))
        handle = self._new_handle(arguments, group_id)
        client = read_client(arguments)
        group = client.create_group(
            group_id,
            lifetime_of(),
            extensions=arguments.extensions("group_extensions"),
            rules=RULES,
            random=os.urandom,
        )
        return self._keep(handle, group, client).answer(group_id=group_id.hex())

    def do_join(self, arguments: Arguments) -> Answer:
        welcome = arguments.message("welcome", Welcome)
        references = [entry.new_member for entry in welcome.secrets if entry.new_member in self._bundles]
        if arguments.has("ref"):
            references = [ref for ref in references if ref == arguments.binary("ref")]
        if not references:
            raise UsageError("the Welcome is for no key package of this process", "no_key_package")
        client, bundle = self._bundles[references[0]]
        group, _ = Group.join(
            welcome,
            bundle,
            client.signature_private_key,
            psks=self._psks.find,
            past_epochs=self._psks.epochs.find,
            ratchet_tree=read_tree(arguments),
            rules=RULES,
        )
        handle = self._new_handle(arguments, group.group_id)
        del self._bundles[references[0]]
        return self._keep(handle, group, client).answer(group_id=group.group_id.hex())

    def do_external_join(self, arguments: Arguments) -> Answer:
        info = arguments.message("group_info", GroupInfo)
        resync = arguments.boolean("resync", False)
        handle = arguments.text("group", info.group_context.group_id.hex())
        former = self._members.get(handle) if resync else None
        if former is None:
            handle = self._new_handle(arguments, info.group_context.group_id)
        # Who comes back keeps the signature key, as long as it is still in this process.
        client = read_client(
            arguments,
            cipher_suite(info.group_context.cipher_suite),
            former.client.signature_private_key if former is not None else None,
        )
        leaf = client.key_package(lifetime_of(), random=os.urandom).key_package.leaf_node
        made = Group.external_join(
            info,
            leaf,
            client.signature_private_key,
            resync=resync,
            psks=self._psks.find,
            ratchet_tree=read_tree(arguments),
            authenticated_data=arguments.binary("aad", b""),
            rules=RULES,
            random=os.urandom,
        )
        return self._keep(handle, made.next, client).answer(commit=made.message.hex())

    def do_branch(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        old = member.group
        packages = [
            message_body(encoded, KeyPackage, "key_packages")
            for encoded in arguments.binaries("key_packages")
        ]
        suite, group_id = old.cipher_suite, arguments.binary("group_id", os.urandom(16))
        if old.reinit is not None:
            suite, group_id = cipher_suite(old.reinit.cipher_suite), old.reinit.group_id
        handle = self._new_handle(arguments, group_id, "new_group")
        client = with_signature_key(member.client, suite)
        own = client.key_package(lifetime_of(), random=os.urandom)
        follow = old.reinitialize if old.reinit is not None else partial(old.branch, group_id)
        made = follow(
            packages,
            leaf_node=own.key_package.leaf_node,
            encryption_private_key=own.encryption_private_key,
            signature_private_key=client.signature_private_key,
            with_tree=arguments.boolean("ratchet_tree_extension", True),
            random=os.urandom,
        )
        welcome = made.welcome.hex() if made.welcome is not None else None
        return self._keep(handle, made.next, client).answer(group_id=group_id.hex(), welcome=welcome)

    # in a group

    def do_commit(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        listed = arguments.objects("proposals")
        made = member.commit(
            CommitWish(
                proposals=[read_proposal(member, item) for item in listed],
                path=arguments.boolean("path", True) if arguments.has("path") or not listed else None,
                public=arguments.boolean("public", False),
                ratchet_tree_extension=arguments.boolean("ratchet_tree_extension", True),
                authenticated_data=arguments.binary("aad", b""),
            )
        )
        if arguments.boolean("merge", True):
            member.merge()
        welcome = made.welcome.hex() if made.welcome is not None else None
        return member.answer(commit=made.message.hex(), welcome=welcome)

    def do_propose(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        proposal = read_proposal(member, arguments)
        public = arguments.boolean("public", False)
        message = member.propose(proposal, public, arguments.binary("aad", b""))
        return member.answer(message=message.hex())

    def do_process(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        done = member.process(arguments.binary("message"))
        return member.answer(**done)

    def do_merge(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        member.merge()
        return member.answer()

    def do_discard(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        member.discard()
        return member.answer()

    def do_encrypt(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        message = member.encrypt(arguments.binary("plaintext"), arguments.binary("aad", b""))
        return member.answer(message=message.hex())

    def do_decrypt(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        opened = member.decrypt(arguments.binary("message"))
        return member.answer(**opened)

    def do_export(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        secret = member.group.export(
            arguments.text("label"),
            arguments.binary("context", b""),
            arguments.integer("length", most=255 * member.group.cipher_suite.hash_length),
        )
        return member.answer(secret=secret.hex())

    def do_epoch_authenticator(self, arguments: Arguments) -> Answer:
        return self._member(arguments).answer()

    def do_group_info(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        info = member.group.group_info(external_pub=True)
        return member.answer(group_info=MLSMessage.of(info).encode().hex())

    def do_ratchet_tree(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        return member.answer(ratchet_tree=member.group.tree.encode().hex())

    def do_info(self, arguments: Arguments) -> Answer:
        member = self._member(arguments)
        group = member.group
        return member.answer(
            group_id=group.group_id.hex(),
            suite=group.cipher_suite.id,
            own_leaf_index=group.own_leaf_index,
            removed=member.removed,
            members=[
                {"leaf_index": index, "identity_hex": (leaf.credential.identity or b"").hex()}
                for index, leaf in group.tree.leaves()
            ],
            group_extensions=[
                {"type": extension.extension_type, "data": extension.extension_data.hex()}
                for extension in group.context.extensions
            ],
        )

    # helpers

    def _member(self, arguments: Arguments) -> Member:
        member = self._members.get(arguments.text("group"))
        if member is None:
            raise UsageError("no such group in this process", "no_group")
        return member

    def _new_handle(self, arguments: Arguments, group_id: bytes, argument: str = "group") -> str:
        handle = arguments.text(argument, group_id.hex())
        known = self._members.get(handle)
        if known is not None and not known.removed:
            raise UsageError("this process has a group of that name", "group_exists")
        return handle

    def _keep(self, handle: str, group: Group, client: Client) -> Member:
        member = Member(handle, group, client, self._psks)
        self._members[handle] = member
        return member


def read_tree(arguments: Arguments) -> RatchetTree | None:
    return RatchetTree.decode(arguments.binary("ratchet_tree")) if arguments.has("ratchet_tree") else None


def _failure(error: str, rule: str | None = None) -> Answer:
    return {"ok": False, "error": error, "rule": rule}


def main() -> None:
    driver = Driver()
    # Lines are taken as bytes: what is no UTF-8 is a bad request, not the end.
    for line in sys.stdin.buffer:
        if line.strip():
            print(driver.handle(line.decode(errors="replace")), flush=True)
        if driver.done:
            break


if __name__ == "__main__":
    main()
