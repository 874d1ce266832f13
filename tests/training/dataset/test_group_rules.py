"""What --group-by understands, and what it answers to what it does not."""

from pathlib import Path

import pytest
from edgeclf.errors import UsageError
from edgeclf_training.dataset.group_rules import effective_rule, parse_rule
from edgeclf_training.dataset.labels_table import read_labels


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "None"),
        ("none", "None"),
        ("folder:1", "folder:1"),
        ("folder:0", "folder:0"),
        ("name:^[^_]+", "name:^[^_]+"),
        ("name:a:b", "name:a:b"),
        ("burst", "burst:60"),
        ("burst:5", "burst:5"),
        ("burst:0.5", "burst:0.5"),
        ("column:site", "column:site"),
        ("Site no", "column:Site no"),
    ],
)
def test_rules(text: str | None, rule: str) -> None:
    assert str(parse_rule(text)) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("folder", "give folder:1"),
        ("folder:x", "give folder:1"),
        ("folder:-1", "give folder:1"),
        ("fodler:1", "did you mean folder:1"),
        ("name:(", "not a regular expression"),
        ("name:", "no pattern"),
        ("burst:soon", "burst:60"),
        ("burst:-3", "burst:60"),
        ("", "give folder:1, name:PATTERN"),
        ("column:", "give folder:1, name:PATTERN"),
        ("camera:7", "give folder:1, name:PATTERN"),
    ],
)
def test_what_is_no_rule_is_a_usage_error(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        parse_rule(text)


def test_a_column_needs_a_table_and_the_column_group_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("path,label,group\na.jpg,x,1\n")
    table = read_labels(tmp_path / "t.csv")
    assert str(effective_rule(None, table)) == "column:group"
    assert effective_rule("none", table) is None
    assert str(effective_rule("burst", table)) == "burst:60"
    assert effective_rule(None, None) is None
    with pytest.raises(UsageError, match="give the table with --labels"):
        effective_rule("site", None)
