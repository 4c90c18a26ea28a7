"""Who is a member, over the socket: two whole daemons with real engines, the network in memory."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.test_recover import ann_and_ben, until


async def test_a_blocked_member_is_out_of_the_group_until_it_is_unblocked(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "confirm") as (_, ann, ben):
        lab = {"universe": "lab"}
        me = (await ben.result("profile.get"))["identity"]
        assert await ann.result("member.block", **lab, member="Ben") == {"blocked": me}
        assert (await ann.result("message.send", **lab, body="not for Ben"))["recipients"] == 0
        excluded = await until(
            ben, "member.list", lambda held: any(m["excludes_us"] for m in held["members"]), **lab
        )
        assert [m["name"] for m in excluded["members"] if m["excludes_us"]] == ["Ann"]
        assert await ann.result("member.unblock", **lab, member="Ben") == {"unblocked": me}
        await until(
            ben, "member.list", lambda held: not any(m["excludes_us"] for m in held["members"]), **lab
        )
        await ben.result("message.send", **lab, body="heard")
        page = await until(ann, "message.history", lambda held: len(held["messages"]) > 1, **lab)
        assert [message["body"] for message in page["messages"]] == ["not for Ben", "heard"]


async def test_leaving_is_told_and_keeps_the_history(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "confirm") as (_, ann, ben):
        lab = {"universe": "lab"}
        await ben.result("message.send", **lab, body="farewell")
        await until(ann, "message.history", lambda held: held["messages"], **lab)
        assert await ben.result("universe.policy", **lab) == {"invite": "member", "remove": "admin"}
        assert await ben.result("universe.leave", **lab) == {"told": 1}
        assert await ben.error("universe.policy", **lab) == (-32000, "universe.removed")
        assert (await ben.result("universe.get", **lab))["state"] == "left"
        page = await ben.result("message.history", **lab)
        assert [message["body"] for message in page["messages"]] == ["farewell"]
        listed = await until(ann, "member.list", lambda held: held["former_members"], **lab)
        assert [(m["name"], m["removed_by"], m["groups"]) for m in listed["former_members"]] == [
            ("Ben", 1, 1)
        ]
        events = await until(ann, "events.list", lambda held: held["events"], kinds=["removal.done"])
        assert events["events"][0]["body"]["name"] == "Ben"


async def test_what_cannot_be_done_changes_nothing(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "confirm") as (_, ann, ben):
        lab = {"universe": "lab"}
        before = await ann.result("member.list", **lab)
        assert await ann.error("member.block", **lab, member="Ann") == (-32000, "member.oneself")
        assert await ann.error("member.block", **lab, member="nobody") == (-32000, "member.unknown")
        assert await ann.error("member.unblock", **lab, member="Ben") == (-32000, "member.unknown")
        assert await ann.error("universe.rejoin", **lab) == (-32000, "rejoin.needless")
        assert await ann.error("universe.leave", **lab) == (-32000, "admin.last")
        for mark in ({}, {"verified": True}):
            assert await ann.error("member.verify", **lab, member="Ann", **mark) == (-32000, "member.self")
        assert await ben.error("member.remove", **lab, member="Ann") == (-32000, "forbidden")
        after = await ann.result("member.list", **lab)
        assert [m["identity"] for m in after["members"]] == [m["identity"] for m in before["members"]]


async def test_roles_and_the_policy_say_who_may_what(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "confirm") as (_, ann, ben):
        lab = {"universe": "lab"}
        me = (await ben.result("profile.get"))["identity"]
        assert await ben.error("universe.policy", **lab, remove="member") == (-32000, "forbidden")
        assert await ben.error("member.role", **lab, member="Ann", role="reader") == (-32000, "forbidden")
        assert await ben.error("invite.create", **lab, role="admin") == (-32000, "forbidden")
        assert (await ann.error("member.role", **lab, member="Ben", role="king"))[0] == -32602
        made = await ben.result("invite.create", **lab, role="reader", uses=2)
        assert (made["role"], made["uses"]) == ("reader", 2)
        listed = await until(
            ann, "invite.list", lambda held: any(i["role"] == "reader" for i in held["invites"]), **lab
        )
        (shown,) = [invite for invite in listed["invites"] if invite["role"] == "reader"]
        assert (shown["state"], shown["inviter"]["identity"], shown["spent_by"]) == ("open", me, [])
        assert await ann.result("invite.revoke", **lab, invite_id=shown["invite_id"][:12]) == {
            "revoked": shown["invite_id"]
        }
        assert await ann.error("invite.revoke", **lab, invite_id="00" * 8) == (-32000, "invite.unknown")
        assert await ann.result("universe.policy", **lab, invite="admin") == {
            "invite": "admin",
            "remove": "admin",
        }
        await until(ben, "universe.policy", lambda held: held["invite"] == "admin", **lab)
        assert await ben.error("invite.create", **lab) == (-32000, "forbidden")
        assert await ann.result("member.role", **lab, member="Ben", role="reader") == {
            "identity": me,
            "role": "reader",
        }
        await until(ben, "universe.get", lambda held: held["role"] == "reader", **lab)
        assert await ben.error("message.send", **lab, body="may I?") == (-32000, "forbidden")
