"""Names, profiles and verification over the socket of real nodes."""

from __future__ import annotations

from pathlib import Path

from tests.daemon.test_recover import ann_and_ben, until


async def test_names_and_numbers_over_the_socket(tmp_path: Path) -> None:
    async with ann_and_ben(tmp_path, "confirm") as (_, ann, ben):
        named = await ann.result("member.name", universe="lab", member="Ben", petname="Benjamin")
        assert (named["name"], named["display_name"]) == ("Ben", "Benjamin")
        shown = await ann.result("member.verify", universe="lab", member="Benjamin")
        theirs = await ben.result("member.verify", universe="lab", member="Ann", verified=True)
        assert shown["verification"] == theirs["verification"] and shown["verified_at"] is None
        assert theirs["verified_at"] is not None
        for text, code in (("Ann", "member.self"), ("Zoe", "member.unknown"), ("00" * 32, "member.unknown")):
            given = {"universe": "lab", "member": text}
            assert await ann.error("member.name", **given, petname="X") == (-32000, code)
            assert await ann.error("member.verify", **given, verified=True) == (-32000, code)
        assert (await ann.error("member.name", universe="lab", member="Ben", petname=" x"))[0] == -32000
        assert (await ann.error("profile.set", name="a\nb"))[0] == -32000

        assert (await ben.result("profile.set", name="Big Ben"))["name"] == "Big Ben"
        await ben.result("message.send", universe="lab", body="hello")
        page = await until(ann, "message.history", lambda held: held["messages"], universe="lab")
        (message,) = page["messages"]
        assert (message["sender_name"], message["petname"]) == ("Big Ben", "Benjamin")
        await ann.result("member.name", universe="lab", member="Big Ben")
        (message,) = (await ann.result("message.history", universe="lab"))["messages"]
        assert message["display_name"] == "Big Ben", "as it is now"
        assert (await ben.result("hello"))["profile"]["name"] == "Big Ben"
