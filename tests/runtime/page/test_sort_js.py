"""The bookkeeping of the sorting page: its queue, and which classes have which keys."""

from collections.abc import Callable
from typing import Any

InNode = Callable[..., Any]

PHOTO = """
    const rest = { guess: "a", display_name: "a", probability: 0.5, ranking: [] };
    const photo = (id, group = null) => ({ id, name: id, group, ...rest });
    const { Queue } = await load("sort-queue.js");
    const queue = new Queue();
    const ids = () => queue.photos.map((one) => one.id).join("");
    const seen = [];
"""


def test_the_queue_keeps_its_place(in_node: InNode) -> None:
    script = """
        queue.take([..."abcdef"].map((id) => photo(id)), true);
        queue.remove(["a"]);
        seen.push(ids());
        queue.take([..."fedcba"].map((id) => photo(id)), true);  // the model has looked: another order behind the first
        seen.push(ids());
        queue.skip();
        seen.push(ids());
        seen.push(queue.take([..."efdgbc"].map((id) => photo(id)), true).join(""), ids());
        queue.putBack(["a"]);
        seen.push(ids(), queue.current.id, String(queue.putBack(["unknown"])));
        seen.push(queue.take([..."gab"].map((id) => photo(id)), true).join(""), ids());
        seen.push(queue.take([photo("x")], false).join(""), ids());
        queue.unskip();
        seen.push(ids());
        return seen;
    """
    assert in_node(PHOTO + script) == [
        "bcdef",
        "bcdfe",
        "cdfeb",
        "",
        "cdfegb",
        "acdfegb",
        "a",
        "false",
        "cdfe",
        "agb",
        "",
        "agxb",
        "bagx",
    ]


def test_a_label_that_was_taken_back_elsewhere_comes_again(in_node: InNode) -> None:
    script = """
        queue.take([photo("a"), photo("b")], true);
        queue.remove(["a"]);
        queue.take([photo("a"), photo("b")], true);
        seen.push(ids());
        queue.confirm(["a"]);
        queue.take([photo("b"), photo("a")], true);
        seen.push(ids());
        return seen;
    """
    assert in_node(PHOTO + script) == ["b", "ba"]


def test_skipping_goes_round(in_node: InNode) -> None:
    script = """
        queue.take([photo("a"), photo("b")], true);
        for (let step = 0; step < 5; step += 1) { seen.push(queue.current.id); queue.skip(); }
        queue.take([photo("c"), photo("a"), photo("b")], true);
        seen.push(queue.current.id);
        return seen;
    """
    assert in_node(PHOTO + script) == ["a", "b", "a", "b", "a", "c"]


def test_near_duplicates(in_node: InNode) -> None:
    script = """
        queue.take([photo("a", 1), photo("b", 2), photo("c", 1), photo("d"), photo("e", -1), photo("f", -1)], true);
        return queue.photos.map((one) => queue.alike(one).join(""));
    """
    assert in_node(PHOTO + script) == ["ac", "b", "ac", "d", "e", "f"]


CLASSES = """
    const { offered, merged, isClass } = await load("sort-classes.js");
    const named = (label) => ({ label, display_name: label, count: 0 });
    const shown = (list) => list.map((one) => `${one.key}${one.label}`);
"""


def test_each_class_keeps_its_key(in_node: InNode) -> None:
    script = """
        const classes = [..."KLMNOPQRSTUVWXYZ"].map(named);
        const keys = shown(offered(classes, "", undefined, []));
        const found = shown(offered(classes, "t", undefined, ["K"]));
        const after = merged(classes, [named("A new one"), ...classes.slice(1)]).map((one) => one.label).join("");
        return [keys.slice(0, 11), keys.length, found, after];
    """
    assert in_node(CLASSES + script) == [
        ["1K", "2L", "3M", "4N", "5O", "6P", "7Q", "8R", "9S", "aT", "bU"],
        16,
        ["aT"],
        "LMNOPQRSTUVWXYZA new one",
    ]


def test_of_many_classes_the_likely_ones_come_first(in_node: InNode) -> None:
    script = """
        const classes = Array.from({ length: 1000 }, (_, n) => named(`class ${n}`));
        const photo = { ranking: [{ label: "class 700" }, { label: "class 5" }] };
        const list = offered(classes, "", photo, ["class 900", "class 700"]);
        return [shown(list.slice(0, 5)), list.length, shown(offered(classes, "class 99", photo, [])).slice(0, 3)];
    """
    first, length, found = in_node(CLASSES + script)
    assert first == ["1class 700", "2class 5", "3class 900", "4class 0", "5class 1"]
    assert length == 60
    assert [one.removeprefix("class") for one in found] == [" 99", " 990", " 991"]


def test_names_are_found_in_every_form(in_node: InNode) -> None:
    script = """
        const classes = [named("Ade\\u0301lie penguin"), named("king_penguin")];
        return [
            shown(offered(classes, "AD\\u00c9LIE", undefined, [])).length,
            shown(offered(classes, "king peng", undefined, [])).length,
            isClass(classes, "ad\\u00e9lie Penguin"), isClass(classes, "king"),
        ];
    """
    assert in_node(CLASSES + script) == [1, 1, True, False]


def test_no_key_is_used_twice(in_node: InNode) -> None:
    script = """
        const classes = Array.from({ length: 40 }, (_, n) => named(`${n}`));
        return offered(classes, "", undefined, []).map((one) => one.key).filter(Boolean);
    """
    keys = in_node(CLASSES + script)
    assert len(keys) == len(set(keys)) == 32
    assert not set(keys) & set("0uhv /")
