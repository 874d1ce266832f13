"""The classifier: one model file, photos in, rankings and heat maps out."""

import os
from collections.abc import Callable, Generator, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgeclf.argument_checks import check_whole, number
from edgeclf.errors import ExplainError, ModelError, PhotoError, UsageError
from edgeclf.images.contract import ImageContract
from edgeclf.images.preprocess import Photo, fit, is_network_input, network_input, upright_for_each
from edgeclf.images.resize import shrunk
from edgeclf.many_photos import check_several, side_by_side
from edgeclf.model.file import Model, read_model_file
from edgeclf.model.manifest import Manifest
from edgeclf.model.session import usable_threads
from edgeclf.model.session_pool import Sessions
from edgeclf.ranking import ranked
from edgeclf.results import DISPLAY_SIDE, Explanation, Prediction

Result = TypeVar("Result")

DEFAULT_MODEL = Path(__file__).parent / "models" / "imagenet_efficientnet_lite0_int8.onnx"
MODEL_VARIABLE = "EDGECLF_MODEL"
# Bytes that a photo of a phone takes while it is decoded and answered, and explained and drawn, with room to spare.
_BYTES, _BYTES_DRAWN = 64 * 2**20, 160 * 2**20

# For showing a photo: any contract whose input is the display; only its reduced-scale decoding is used.
_DISPLAY = ImageContract(size=DISPLAY_SIDE, resize="pad", draft_margin=1.0)


def default_model() -> str:
    """The model used when none is named: ``$EDGECLF_MODEL``, else the ImageNet-1k network in the package."""
    return os.environ.get(MODEL_VARIABLE) or str(DEFAULT_MODEL)


class Classifier:
    """Answers photos with one model file.

    Safe to use from several threads at once: onnxruntime sessions serve concurrent calls on the CPU, and take turns on
    other devices. It can be copied, pickled (its model goes along) and used after a fork: a child opens the model anew.

    Args:
        model: an ``.onnx`` file made by edgeclf: its path, its bytes, or a binary file object; ``default_model()`` if
            None. What was checked is what answers, whatever becomes of the file.
        device: "auto" (CUDA if it is available, else CPU), "cpu", "cuda", or any execution provider's name.
        threads: CPU threads: all of them work on one inference in ``predict``, each on a photo of its own in
            ``predict_many``. As many as the process may use if None.
        threshold: photos whose best probability is below it are "unknown", 0..1; 0 always answers. The model's own if
            None, which is 0 where it was not calibrated.
        spin: CPU threads wait for the next photo by spinning for a while, onnxruntime's default. Not, where two
            classifiers take turns: one's waiting threads would slow the other down. Nor without ``wait``: threads that
            spin while the file is opened take the time of the one that decodes the photo.
        wait: until onnxruntime has opened the file. Otherwise it goes on doing so in a thread while the first photo is
            decoded, and what it finds wrong is raised by the first answer, or by ``device``. For processes that
            answer once: no copy of the file is made, so after it was written over in place no session can be opened.
        low_memory: for small boards: one photo at a time in ``predict_many`` too, and onnxruntime returns memory after
            each inference, which takes a little longer.
        for_many: only ``predict_many`` will be called, or nearly so: every inference uses one thread, and the second
            session that ``predict_many`` would open for that is spared.

    Raises:
        ModelError: the file cannot be used.
        BackendError: onnxruntime or the device is not available.
        UsageError: ``threads`` below 1, ``threshold`` not within 0..1.
        TypeError: an argument of another type.
    """

    def __init__(
        self,
        model: Model | None = None,
        device: str = "auto",
        threads: int | None = None,
        *,
        threshold: float | None = None,
        spin: bool = True,
        wait: bool = True,
        low_memory: bool = False,
        for_many: bool = False,
    ) -> None:
        if threshold is not None and not 0 <= number("threshold", threshold) <= 1:
            raise UsageError(f"threshold is {threshold}", "give a probability, 0..1")
        if threads is not None:
            check_whole("threads", threads)
        if not isinstance(device, str):
            raise TypeError(f"device is a name such as 'cpu', not {type(device).__name__}")
        self._file = read_model_file(model if model is not None else default_model(), copied=wait)
        calibration = self._file.manifest.calibration
        self.temperature = calibration.temperature if calibration else 1.0
        self.threshold = threshold if threshold is not None else calibration.threshold if calibration else 0.0
        self.threads = threads or usable_threads()
        self._low_memory = low_memory
        inside = 1 if for_many and not low_memory else self.threads
        self._opening: dict[str, Any] = {
            "device": device,
            "threads": inside,
            "spin": spin and wait,
            "low_memory": low_memory,
        }
        self._sessions = Sessions(self._file, **self._opening)
        if wait:
            self._sessions.first()
        else:
            self._sessions.begin()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_sessions", "device")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._sessions = Sessions(self._file, **self._opening)

    @property
    def _session(self) -> Any:
        return self._sessions.first()[0]

    @cached_property
    def device(self) -> str:
        """The execution provider that serves, by onnxruntime's name."""
        return self._sessions.first()[1]

    @property
    def manifest(self) -> Manifest:
        """What the model file says about itself."""
        return self._file.manifest

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the model file's bytes, less the seal that holds it."""
        return self._file.sha256

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.manifest.classes

    def predict(self, photo: Photo, top_k: int = 5, *, logits: bool = False) -> Prediction:
        """Rank the classes of one photo.

        Args:
            photo: a path, bytes, a binary file object, a PIL image, or a uint8 RGB array ``[H, W, 3]``.
            top_k: how many classes to rank; at most all are.
            logits: also return the logits.

        Raises:
            PhotoError: the photo cannot be read.
            ModelError: the answer is not finite.
            UsageError: ``top_k`` below 1.
        """
        check_whole("top_k", top_k)
        contract = self.manifest.contract  # before the session, which may still be opening
        image = photo if is_network_input(photo, contract) else network_input(photo, contract)
        return self._predict(None, image, top_k, logits)

    def predict_many(
        self, photos: Iterable[Photo | PhotoError], top_k: int = 5, *, logits: bool = False
    ) -> Generator[Prediction | PhotoError, None, None]:
        """Answer photos lazily, in order; one that cannot be read yields its error and the rest go on.

        Photos are decoded and answered side by side in ``threads`` threads, which are gone when the iterator ends or is
        closed. The photos may be an endless iterator: it is read a few photos ahead, in the caller's thread, and only
        while answers are asked for, so an answer may wait for the next photos to come. File objects, arrays and PIL
        images may be closed or change once the next photo was asked for.

        Args:
            photos: each as for ``predict``; an error in place of a photo is yielded in its turn.
            top_k, logits: as for ``predict``.

        Raises:
            ModelError: an answer is not finite: raised in that photo's turn, after the answers before it.
            UsageError: ``top_k`` below 1, or ``photos`` is a single photo.
        """
        check_whole("top_k", top_k)
        several = check_several(photos, "predict_many")
        return side_by_side(
            several,
            lambda photo: network_input(photo, self.manifest.contract),
            lambda session, image: self._predict(session, image, top_k, logits),
            self._sessions,
            1 if self._low_memory else self.threads,
            _BYTES,
        )

    def explain(self, photo: Photo, label: str | None = None, top_k: int = 5) -> Explanation:
        """Show where in the photo the evidence for a class lies.

        Args:
            photo: as for ``predict``.
            label: class name; the best-ranked class if None.
            top_k: length of the ranking that comes along.

        Raises:
            PhotoError: the photo cannot be read.
            UsageError: the model has no such class.
            ExplainError: the model carries maps of the best-ranked classes only, and the class is not among them.
        """
        check_whole("top_k", top_k)
        wanted = self.index(label) if label is not None else None
        return self._explain(None, self._for_eye_too(photo), wanted, label, top_k)

    def explain_many(
        self,
        photos: Iterable[Photo | PhotoError],
        then: Callable[[Explanation], Result],
        label: str | None = None,
        top_k: int = 5,
    ) -> Generator[Result | ExplainError | PhotoError, None, None]:
        """Explain photos lazily, side by side and in order, as ``predict_many`` answers them.

        Args:
            photos: as for ``predict_many``.
            then: called with each explanation, in the thread that made it, so that drawing and encoding are done side
                by side too; what it returns is yielded. A few results wait in memory: return what is small.
            label, top_k: as for ``explain``.

        Returns:
            What ``then`` returned, or the photo's error; an ExplainError holds the prediction.

        Raises:
            ModelError, UsageError: as ``predict_many``.
            UsageError: the model has no such class.
        """
        check_whole("top_k", top_k)
        wanted = self.index(label) if label is not None else None

        def explained(session: Any, photo: _ForEyeToo) -> Result | ExplainError:
            try:
                return then(self._explain(session, photo, wanted, label, top_k))
            except ExplainError as error:  # without the frames it came through, which hold the photo
                return ExplainError(error.message, error.remedy, error.prediction)

        several = check_several(photos, "explain_many")
        threads = 1 if self._low_memory else self.threads
        return side_by_side(several, self._for_eye_too, explained, self._sessions, threads, _BYTES_DRAWN)

    def infer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """The network alone, without the door: for those who time it, or decode a photo once for several networks.

        Args:
            image: RGB uint8 ``[size, size, 3]``, as ``network_input`` gives it.

        Returns:
            Logits float32 ``[classes]``, heat maps float32 ``[maps, h, w]``, and which classes they explain, int64
            ``[maps]``, best-ranked first.

        Raises:
            ModelError: a logit or a map is not finite.
        """
        return self._infer(None, image)

    def rank(self, scores: NDArray[np.float32], top_k: int = 5, *, logits: bool = False) -> Prediction:
        """What logits, float32 ``[classes]``, mean: ``top_k`` and ``logits`` as for ``predict``.

        Raises:
            ModelError: a logit is not finite.
        """
        self._check_finite(scores)
        ranking = ranked(scores, self.temperature, self.labels, self.manifest.display_names, top_k)
        return Prediction(ranking, ranking[0].probability < self.threshold, scores if logits else None)

    def index(self, label: str) -> int:
        """The index of a class, by its name or its display name, however its accents and spaces are spelt.

        Raises:
            UsageError: the model has no such class, or shows several by this name.
        """
        from edgeclf.class_names import class_index  # few look for one, and it takes a millisecond

        return class_index(label, self.labels, self.manifest.display_names)

    def _check_finite(self, values: NDArray[np.float32]) -> None:
        if not np.isfinite(values).all():
            what = f"{self._file.path}: answers a photo with numbers that are not finite (NaN or infinity)"
            raise ModelError(what, "the model cannot be used; export it again, from a run that did not diverge")

    def _predict(self, session: Any, image: NDArray[np.uint8], top_k: int, logits: bool) -> Prediction:
        (scores,) = self._sessions.run(session, image, "logits")
        return self.rank(scores[0], top_k, logits=logits)

    def _infer(
        self, session: Any, image: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        scores, cams, cam_class = self._sessions.run(session, image, "logits", "cam", "cam_class")
        self._check_finite(scores)
        self._check_finite(cams)
        return scores[0], cams[0], cam_class[0]

    def _for_eye_too(self, photo: Photo) -> "_ForEyeToo":
        """Read and decode a photo once, for the network and for the eye."""
        contract = self.manifest.contract
        decoded = upright_for_each(photo, contract, _DISPLAY)
        image = fit(next(decoded)[0], contract)
        shown, photo_size = next(decoded)
        return image, shrunk(shown, DISPLAY_SIDE), photo_size

    def _explain(
        self, session: Any, photo: "_ForEyeToo", wanted: int | None, label: str | None, top_k: int
    ) -> Explanation:
        image, shown, photo_size = photo
        scores, cams, cam_class = self._infer(session, image)
        explained = [int(index) for index in cam_class]
        wanted = explained[0] if wanted is None and explained else wanted
        everything = self.rank(scores, len(self.labels))
        prediction = Prediction(everything.ranking[:top_k], everything.unknown)
        if wanted is None or wanted not in explained:
            raise ExplainError(
                f"no heat map for {label or 'this photo'}: the model carries those of the "
                f"{len(explained)} best-ranked classes of a photo",
                "choose a class that ranks higher",
                prediction,
            )
        return Explanation(
            prediction=prediction,
            label=next(entry for entry in everything.ranking if entry.index == wanted),
            cam=cams[explained.index(wanted)],
            photo=shown,
            photo_size=photo_size,
            contract=self.manifest.contract,
        )


_ForEyeToo = tuple[NDArray[np.uint8], Image.Image, tuple[int, int]]  # network input; photo reduced; its size in full
