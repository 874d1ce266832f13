"""File and folder names that other systems refuse or confuse."""

from pathlib import Path

from edgeclf_training.dataset.portable_names import odd_names


def test_names_that_mean_trouble_elsewhere(tmp_path: Path) -> None:
    names = ["King.jpg", "king.JPG", "cafe\u0301.jpg", "con.jpg", "a.jpg ", "10:30.jpg", "x" * 150 + ".jpg", "fine.jpg"]
    found = {
        kind: {p.name for paths, _ in items for p in paths}
        for kind, _, items in odd_names([tmp_path], [tmp_path / "class" / n for n in names])
    }
    assert found["name-collisions"] == {"King.jpg", "king.JPG"}
    assert found["names-not-nfc"] == {"cafe\u0301.jpg"}
    assert found["names-not-portable"] == {"con.jpg", "a.jpg ", "10:30.jpg", "x" * 150 + ".jpg"}


def test_class_folders_that_collide_are_found(tmp_path: Path) -> None:
    found = {
        k: items for k, _, items in odd_names([tmp_path], [tmp_path / "King" / "a.jpg", tmp_path / "king" / "b.jpg"])
    }
    assert [paths for paths, _ in found["name-collisions"]] == [(tmp_path / "King", tmp_path / "king")]
