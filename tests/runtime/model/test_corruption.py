"""A thousand damaged or hostile model files, in a child process, so that a crash fails one test only."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run

CHILD = r'''
import collections, json, math, random, sys
from dataclasses import asdict
from pathlib import Path

import onnx
from edgeclf.classifier import Classifier
from edgeclf.images.contract import ImageContract
from edgeclf.errors import EdgeclfError, ModelError
from edgeclf.model.file import MANIFEST_KEY, SEAL_LENGTH, seal

source, photo, target = map(Path, sys.argv[1:])
good = source.read_bytes()
proto = onnx.load_from_string(good[:-SEAL_LENGTH])
(entry,) = [entry for entry in proto.metadata_props if entry.key == MANIFEST_KEY]
manifest = entry.value
HOSTILE = [None, True, -1, 0, 10**30, 1e308, "NaN", "", "\x1b[2J", "../../etc/passwd", "x" * 5000, [], {}, [[]]]


def flip(rng):
    data = bytearray(good)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def truncate(rng):
    return good[: rng.randrange(len(good))]


def splice(rng):
    length = rng.randrange(1, 400)
    a, b = rng.randrange(len(good) - length), rng.randrange(len(good) - length)
    return good[:b] + good[a : a + length] + good[b + rng.choice((0, length)) :]


def resealed(text):
    entry.value = text
    return seal(proto.SerializeToString())


def scribble(rng):
    """Any byte of the manifest, under a good seal."""
    text = bytearray(manifest.encode())
    for _ in range(rng.choice((1, 2, 5))):
        text[rng.randrange(len(text))] = rng.randrange(32, 127)
    return resealed(text.decode())


def lie(rng):
    """Any value of the manifest replaced, the contract's hash made to fit."""
    values = json.loads(manifest)
    where, key = values, rng.choice(sorted(values))
    while isinstance(where[key], (dict, list)) and where[key] and rng.random() < 0.7:
        where = where[key]
        key = rng.choice(sorted(where)) if isinstance(where, dict) else rng.randrange(len(where))
    where[key] = rng.choice(HOSTILE)
    try:
        values["contract_sha256"] = ImageContract(**values["contract"]).digest()
    except Exception:
        pass
    return resealed(json.dumps(values))


found = collections.Counter()
KINDS = [(flip, 300), (truncate, 200), (splice, 200), (scribble, 150), (lie, 150)]
for kind, count in KINDS:
    for number in range(count):
        data = kind(random.Random(f"{kind.__name__} {number}"))
        target.write_bytes(data)
        try:
            classifier = Classifier(target)
            ranking = classifier.predict(photo).ranking
        except ModelError as refused:
            assert "\n" not in str(refused) and len(str(refused)) < 1000, str(refused)
            found[f"{kind.__name__} refused"] += 1
            continue
        except EdgeclfError as other:
            raise SystemExit(f"{kind.__name__} {number}: {other!r}")
        assert data == good or kind in (scribble, lie), f"{kind.__name__} {number} was not found"
        assert math.isclose(sum(one.probability for one in ranking), 1) and all(one.label for one in ranking)
        found[f"{kind.__name__} harmless"] += 1
print(json.dumps(found))
'''


def test_a_thousand_corruptions_are_refused_or_harmless(
    make_model: Callable[..., Path], photo: Path, tmp_path: Path
) -> None:
    model = make_model(int8=True)
    done = run([sys.executable, "-c", CHILD, model, photo, tmp_path / "bad.onnx"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert sum(found.values()) == 1000
    for kind, count in (("flip", 300), ("truncate", 200), ("splice", 200)):
        assert found[f"{kind} refused"] >= count - 2, "a splice may change nothing"
    assert found["scribble refused"] > 50
    assert found["lie refused"] > 50
