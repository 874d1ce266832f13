"""The page's queue: two photos at a time, pauses while the service is away, a bounded number of tries."""

from collections.abc import Callable
from typing import Any

import pytest

# A queue whose photos are answered by `answers`: for each photo a list of kinds of errors, then it is answered.
SET_UP = """
    const { createQueue } = await load("queue.js");
    const { EngineError } = await load("types.js");
    const log = [], timers = [];
    let most = 0, working = 0;
    const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
    const queue = createQueue({
        work: async (job) => {
            most = Math.max(most, (working += 1));
            await null;
            working -= 1;
            const error = (argument.errors?.[job] ?? argument.every ?? []).shift();
            if (error) throw new EngineError(error, "", argument.retryAfter);
            log.push(`${job} answered`);
        },
        onError: (job, error) => log.push(`${job} ${error.kind ?? error}`),
        onChange: () => {},
        after: (seconds, then) => { timers.push({ seconds, then }); return () => {}; },
    });
"""


def test_two_at_a_time_in_order(in_node: Callable[..., Any]) -> None:
    script = SET_UP + "queue.add(argument.jobs); await settled(); return { log, most, state: queue.state };"
    jobs = [f"p{number}" for number in range(200)]
    done = in_node(script, {"jobs": jobs})
    assert done["log"] == [f"{job} answered" for job in jobs]
    assert done["most"] == 2
    assert done["state"] == {"waiting": 0, "working": 0, "pause": None}


@pytest.mark.parametrize("kind", ["offline", "busy"])
def test_pauses_and_goes_on_by_itself(in_node: Callable[..., Any], kind: str) -> None:
    script = (
        SET_UP
        + """
        queue.add(["a", "b", "c"]); await settled();
        const paused = queue.state, logged = [...log];
        timers[0].then(); await settled();
        return { paused, logged, log, waits: timers.map((timer) => timer.seconds), state: queue.state };
    """
    )
    done = in_node(script, {"errors": {"a": [kind], "b": [kind]}, "retryAfter": 7})
    assert done["logged"] == []
    assert done["paused"]["pause"]["kind"] == kind
    assert done["paused"]["waiting"] == 3
    assert len(done["waits"]) == 1  # both photos failed together: one pause
    assert 7 <= done["waits"][0] <= 7 * 1.25
    assert done["log"] == ["a answered", "b answered", "c answered"]
    assert done["state"]["pause"] is None


def test_pauses_get_longer_and_end(in_node: Callable[..., Any]) -> None:
    script = (
        SET_UP
        + """
        queue.add(["a"]); await settled();
        for (let at = 0; at < 50 && timers[at]; at += 1) { timers[at].then(); await settled(); }
        const given_up = queue.state;
        argument.every.length = 0; queue.goOn(); await settled();
        return { waits: timers.map((timer) => timer.seconds), given_up, log };
    """
    )
    done = in_node(script, {"every": ["offline"] * 100})
    assert len(done["waits"]) == 20
    assert done["waits"][0] < 3
    assert all(30 <= wait <= 37.5 for wait in done["waits"][5:])
    assert done["given_up"]["pause"]["until"] is None
    assert done["log"] == ["a answered"]


def test_the_token_waits_for_a_person(in_node: Callable[..., Any]) -> None:
    script = (
        SET_UP
        + """
        queue.add(["a"]); await settled();
        const paused = queue.state;
        queue.goOn(); await settled();
        return { paused, timers: timers.length, log };
    """
    )
    done = in_node(script, {"errors": {"a": ["token"]}})
    assert done["paused"]["pause"]["until"] is None
    assert (done["timers"], done["log"]) == (0, ["a answered"])


@pytest.mark.parametrize(("kind", "tries"), [("timeout", 3), ("interrupted", 3), ("refused", 1), ("file-gone", 1)])
def test_an_error_of_one_photo_stops_only_that_one(in_node: Callable[..., Any], kind: str, tries: int) -> None:
    script = (
        SET_UP
        + """
        queue.add(["a", "b"]); await settled();
        return { log, left: argument.errors.a.length };
    """
    )
    done = in_node(script, {"errors": {"a": [kind] * 10}})
    assert sorted(done["log"]) == [f"a {kind}", "b answered"]
    assert done["left"] == 10 - tries


def test_cancel_forgets_what_waits(in_node: Callable[..., Any]) -> None:
    script = (
        SET_UP
        + """
        queue.add(["a", "b", "c", "d"]);
        const cancelled = queue.cancel(); await settled();
        return { cancelled, log: log.filter((line) => /^[cd]/.test(line)), state: queue.state };
    """
    )
    done = in_node(script, {})
    assert done["cancelled"] == ["a", "b", "c", "d"]
    assert done["log"] == []
    assert done["state"]["waiting"] == 0


def test_every_kind_of_error_has_words(in_node: Callable[..., Any]) -> None:
    kinds = ["not-found", "not-a-file", "empty", "not-an-image", "damaged", "too-large", "unreadable", "unsupported"]
    kinds += ["timeout", "heat-map", "no-heat-map", "offline", "busy", "token", "forbidden", "slow", "interrupted"]
    script = """
        const { explained } = await load("messages.js");
        return argument.map((kind) => explained({ kind, message: "m" }));
    """
    for kind, words in zip(kinds, in_node(script, kinds), strict=True):
        if kind in ("not-found", "not-a-file"):  # of files on a disk: the record's own message
            assert words["title"] == "m"
        else:
            assert words["title"].endswith("."), kind
            assert words["advice"].endswith("."), kind
