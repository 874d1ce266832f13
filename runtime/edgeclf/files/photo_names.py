"""Which file names are photos and which never are: the one list of all commands.

Never photos: hidden names (they begin with a dot), and what systems and programs keep among photos: recycle bins,
snapshots, thumbnails, caches.
"""

import itertools
import os
import re

UNSORTED = "_unsorted"  # folder beside class folders for photos without a label: never trained on, never counted

# Formats besides JPEG (MPO included) and HEIC, which are recognised by their first bytes. Left out on purpose: formats
# that call other programs (EPS), that decode before their size is known (ICO), or that are not images.
FORMATS = {
    "PNG": (".png",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "TGA": (".tga",),
    "PCX": (".pcx",),
}
_RECOGNISED_BY_BYTES = (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".heic", ".heif", ".hif")
SUFFIXES = frozenset((*_RECOGNISED_BY_BYTES, *itertools.chain(*FORMATS.values())))
RAW_SUFFIXES = frozenset(
    (
        *(
            ".3fr",
            ".ari",
            ".arw",
            ".cr2",
            ".cr3",
            ".crw",
            ".dcr",
            ".dng",
            ".erf",
            ".fff",
            ".iiq",
            ".k25",
            ".kdc",
            ".mef",
        ),
        *(
            ".mos",
            ".mrw",
            ".nef",
            ".nrw",
            ".orf",
            ".pef",
            ".raf",
            ".raw",
            ".rw2",
            ".rwl",
            ".sr2",
            ".srf",
            ".srw",
            ".x3f",
        ),
    )
)

# Names that begin with a dot are left out anyway: .Trashes, .@__thumb, .thumbnails, .stversions, .git, ._photo.jpg ...
# Words that could be a class ("recycle bin", "thumbs", "originals") are not in this list.
_IGNORED = frozenset(
    (
        # Synology, QNAP, ASUSTOR and others: thumbnails, recycle bins, snapshots, services
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@snapshot", "@sharesnap", "@sharebin", "@__thumb"),
        *("@appstore", "@appconf", "@appdata", "@apphome", "@apptemp", "@database", "@download", "@cloudsync"),
        *("@synologydrive", "@synologydrivesharesync", "@img_bkp_cache", "@quarantine", "@userpreference", "@sys"),
        *("#recycle", "#snapshot", "#snapshots"),
        # Windows
        *("$recycle.bin", "recycler", "system volume information", "msocache", "config.msi", "$extend"),
        *("thumbs.db", "desktop.ini", "ehthumbs.db", "ehthumbs_vista.db"),
        # macOS
        *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder", "icon\r"),
        *("desktop db", "desktop df"),
        # Linux, cameras (Sony's thumbnails of videos), notebooks and programs
        *("lost+found", "thmbnl", "__pycache__", "node_modules"),
    )
)
_IGNORED_ENDINGS = (
    *("@synoeastream", "@synoresource"),
    *(".lrdata", ".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary"),  # previews among photos
)
_IGNORED_NUMBERED = re.compile(r"found\.\d{3}|network recycle bin \d+|\$windows\.~\w+")


class FoundPath(str):
    """A path that was found in a folder or by a pattern, or named together with others: overlays are left out there."""

    __slots__ = ()


def has_raw_suffix(name: str) -> bool:
    """Whether a file name has the suffix of a camera raw file."""
    return os.path.splitext(name)[1].lower() in RAW_SUFFIXES


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name, found in a folder, is never a photo nor a folder of photos."""
    if name.startswith("."):
        return True
    folded = name.casefold()
    return folded in _IGNORED or folded.endswith(_IGNORED_ENDINGS) or bool(_IGNORED_NUMBERED.fullmatch(folded))


def is_photo_name(name: str) -> bool:
    """Whether a file name has the suffix of an image format."""
    return os.path.splitext(name)[1].lower() in SUFFIXES
