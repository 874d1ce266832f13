"""Photos that are left out are counted by the kind of their reason."""

import shutil
from pathlib import Path

from edgeclf.images.heatmap_mark import OVERLAY_MARK
from edgeclf_training.dataset.exclusion_counts import count_left_out, counts_text
from edgeclf_training.dataset.samples import read_lists, write_lists
from edgeclf_training.dataset.split import read_split
from helpers import write_class_folders


def test_every_reason_to_leave_a_photo_out_is_counted_by_its_kind(tmp_path: Path) -> None:
    data = write_class_folders(tmp_path / "data" / "train", 8).parent
    write_class_folders(data / "test", 2, seed=50)
    adelie, king = data / "train" / "adelie", data / "train" / "king"
    shutil.copy(adelie / "adelie_000.jpg", adelie / "z, which is in test.jpg")
    shutil.copy(adelie / "adelie_001.jpg", king / "other.jpg")  # both go
    shutil.copy(data / "test" / "king" / "king_000.jpg", king / "twin.jpg")
    (king / "empty.jpg").touch()
    listed = {adelie / f"adelie_00{n}.jpg": "same photo as x, under another class" for n in (3, 4)}
    (king / "heat.jpg").write_bytes(b"\xff\xd8\xff\xfe\0\x12" + OVERLAY_MARK)
    split = read_split([data], quarantine=listed)
    counts = {"quarantined": 2, "conflict": 2, "twin": 1, "duplicate": 1, "heat-map": 1, "unreadable": 1}
    assert count_left_out(split.skipped) == counts
    write_lists(split, tmp_path)
    assert count_left_out(read_lists(tmp_path, split.classes, split.val_origin).skipped) == counts
    assert counts_text(counts) == (
        "2 on the quarantine list, 2 also in another class, 1 the same or nearly as in val or test, "
        "1 duplicate of photos in the same class, 1 heat map of edgeclf, 1 cannot be read"
    )
