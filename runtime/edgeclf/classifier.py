"""The classifier: one model file that ranks the classes of photos and explains the ranking with heat maps."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeclf.argument_checks import check_settings, check_whole
from edgeclf.errors import ExplainError, PhotoError
from edgeclf.images.pixels_and_facts import DisplayAndFacts, InputAndFacts, display_and_facts, input_and_facts
from edgeclf.images.preprocess import Photo, is_network_input, network_input
from edgeclf.model.default_model import DEFAULT_MODEL as DEFAULT_MODEL
from edgeclf.model.default_model import default_model as default_model
from edgeclf.model.features_output import FEATURES, with_features
from edgeclf.model.file import Model, read_model_file
from edgeclf.model.manifest import Manifest
from edgeclf.model.session import OPENVINO, usable_threads
from edgeclf.model.session_pool import Sessions, check_finite
from edgeclf.results import DISPLAY_SIDE, Explanation, Features, Prediction, explanation_of, ranked

Result = TypeVar("Result")

# Upper estimates of the memory that a phone's photo takes while it is predicted, and while its heat map is drawn.
_PREDICT_BYTES, _EXPLAIN_BYTES = 64 * 2**20, 160 * 2**20
_OF_A_PROCESS = ("_sessions", "_feature_sessions", "device")
_OUTPUTS = ("logits", "cam", "cam_class")


class Classifier:
    """Classifies photos with one model file.

    It may be used from several threads at once: calls run concurrently on the CPU, where an inference beside another
    uses one thread; one at a time on other devices. It can be copied, pickled (with its model) and used after a fork,
    except on OpenVINO: the child opens its own session.

    Args:
        model: an ``.onnx`` file made by edgeclf: its path, its bytes, or a binary file object; ``default_model()`` if
            None. The checked bytes are used even if the file is changed or deleted later.
        device: "auto" (CUDA if it is available, else CPU), "cpu", "cuda", any execution provider's name, or "openvino",
            which is not bit-exact.
        threads: CPU threads. In ``predict`` all of them work on one inference; in ``predict_many`` each works on a
            photo of its own. None: as many as the process may use.
        threshold: a photo is "unknown" if its best probability is below it, 0..1; with 0 none is. None: the model's
            own threshold, which is 0 if the model was not calibrated.
        spin: CPU threads wait for work in a busy loop, onnxruntime's own default: no faster on 2 quiet cores, and much
            slower where others need them. Without ``wait`` it is off.
        wait: return when onnxruntime has opened the file. If false, a thread opens it while the first photo is decoded,
            and the first prediction, or ``device``, raises errors. No copy of the file is made, so no session can be
            opened after the file was overwritten in place.
        low_memory: for small boards: one photo at a time, and onnxruntime returns memory after each inference.
        for_many: nearly all calls will be ``..._many``: every inference uses one thread, in one session for all.

    Raises:
        ModelError: the file cannot be used.
        BackendError: onnxruntime or the device is not available.
        UsageError: ``threads`` is below 1, or ``threshold`` is not within 0..1.
        TypeError: an argument has the wrong type.
    """

    def __init__(
        self,
        model: Model | None = None,
        device: str = "auto",
        threads: int | None = None,
        *,
        threshold: float | None = None,
        spin: bool = False,
        wait: bool = True,
        low_memory: bool = False,
        for_many: bool = False,
    ) -> None:
        check_settings(device, threads, threshold)
        self._file = read_model_file(model if model is not None else default_model(), copied=wait)
        calibration = self._file.manifest.calibration
        self.temperature = calibration.temperature if calibration else 1.0
        self.threshold = threshold if threshold is not None else calibration.threshold if calibration else 0.0
        self.threads = threads or usable_threads()
        at_once = 1 if low_memory else self.threads
        one_at_a_time = low_memory or device.lower() == OPENVINO.lower()
        per_inference = 1 if for_many and not one_at_a_time else self.threads
        self._new_sessions = partial(
            Sessions, device=device, threads=per_inference, at_once=at_once, spin=spin and wait, low_memory=low_memory
        )
        self._sessions = self._new_sessions(self._file)
        self._sessions.first() if wait else self._sessions.begin()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_A_PROCESS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._sessions = self._new_sessions(self._file)

    @cached_property
    def _feature_sessions(self) -> Sessions:
        return self._new_sessions(with_features(self._file))

    @property
    def _session(self) -> Any:
        return self._sessions.first()[0]

    @cached_property
    def device(self) -> str:
        """The execution provider in use, by onnxruntime's name."""
        return self._sessions.first()[1]

    @property
    def manifest(self) -> Manifest:
        """The description of the model in its file."""
        return self._file.manifest

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the model file's bytes, without the seal at its end."""
        return self._file.sha256

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.manifest.classes

    def predict(self, photo: Photo, top_k: int = 5, *, logits: bool = False) -> Prediction:
        """Rank the classes of one photo.

        Args:
            photo: a path, bytes, a binary file object, a PIL image, or a uint8 RGB array ``[H, W, 3]``.
            top_k: how many classes to return; all if the model has fewer.
            logits: also return the logits.

        Returns:
            The ranking, best class first.

        Raises:
            PhotoError: the photo cannot be read.
            ModelError: a logit is not finite.
            UsageError: ``top_k`` is below 1.
        """
        check_whole("top_k", top_k)
        return self._predict(None, (self._network_input(photo), None), top_k, logits)

    def predict_many(
        self, photos: Iterable[Photo | PhotoError], top_k: int = 5, *, logits: bool = False, facts: bool = False
    ) -> Generator[Prediction | PhotoError, None, None]:
        """Rank the classes of many photos, lazily and in order. A photo that cannot be read yields its error.

        ``threads`` threads decode and classify photos in parallel; they end when the iterator ends or is closed. The
        photos may be endless: they are taken a few ahead, in the caller's thread, only when a result is requested, so a
        result may wait for later photos. A file object, array or PIL image may be closed or changed when the next photo
        was taken.

        Args:
            photos: each as for ``predict``; an error in place of a photo is yielded in its turn.
            top_k, logits: as for ``predict``.
            facts: also read from the EXIF when, where and with which camera the photo was taken.

        Returns:
            A prediction or an error for each photo.

        Raises:
            ModelError: a logit is not finite; raised in that photo's turn, after the results before it.
            UsageError: ``top_k`` is below 1, or ``photos`` is a single photo.
        """
        check_whole("top_k", top_k)
        decode = partial(input_and_facts, contract=self.manifest.contract, facts=facts)
        work = partial(self._predict, top_k=top_k, logits=logits)
        return self._sessions.run_many("predict_many", photos, decode, work, _PREDICT_BYTES)

    def explain(self, photo: Photo, label: str | None = None, top_k: int = 5) -> Explanation:
        """Compute the heat map of a class: where in the photo the network found evidence for it.

        Args:
            photo: as for ``predict``.
            label: class name; the best-ranked class if None.
            top_k: how many classes the prediction in the explanation ranks.

        Returns:
            The heat map, the prediction and the photo.

        Raises:
            PhotoError: the photo cannot be read.
            UsageError: the model has no such class.
            ExplainError: the model computes maps of the best-ranked classes only, and this class is not among them.
        """
        check_whole("top_k", top_k)
        wanted = self.index(label) if label is not None else None
        return self._explain(None, self._decode(photo), wanted, top_k, logits=False)

    def explain_many(
        self,
        photos: Iterable[Photo | PhotoError],
        then: Callable[[Explanation], Result],
        label: str | None = None,
        top_k: int = 5,
        *,
        logits: bool = False,
        facts: bool = False,
    ) -> Generator[Result | ExplainError | PhotoError, None, None]:
        """Explain many photos, lazily, in parallel and in order, as ``predict_many`` predicts them.

        Args:
            photos, logits, facts: as for ``predict_many``.
            then: called with each explanation, in the thread that made it, so that drawing and encoding run in parallel
                too; what it returns is yielded. A few results wait in memory: return small ones.
            label, top_k: as for ``explain``.

        Returns:
            For each photo what ``then`` returned, or the photo's error; an ExplainError holds the prediction.

        Raises:
            ModelError, UsageError: as ``predict_many``, and if the model has no such class.
        """
        check_whole("top_k", top_k)
        wanted = self.index(label) if label is not None else None

        def explained(session: Any, photo: DisplayAndFacts) -> Result | ExplainError:
            try:
                return then(self._explain(session, photo, wanted, top_k, logits))
            except ExplainError as error:
                return error.alone()

        decode = partial(self._decode, facts=facts)
        return self._sessions.run_many("explain_many", photos, decode, explained, _EXPLAIN_BYTES)

    def features(self, photo: Photo) -> NDArray[np.float32]:
        """Compute what the network's head reads, to compare photos by. The first call opens a second session.

        Args:
            photo: as for ``predict``.

        Returns:
            float32 ``[K]``; for a linear head the mean of each channel over all positions (global average pooling).

        Raises:
            PhotoError, ModelError: as for ``predict``; or the file does not say where its head begins.
        """
        return self._features(None, self._network_input(photo), 1).vector

    def features_many(
        self, photos: Iterable[Photo | PhotoError], top_k: int = 5
    ) -> Generator[Features | PhotoError, None, None]:
        """Features and prediction of many photos from one inference each; otherwise as ``predict_many``."""
        check_whole("top_k", top_k)
        decode = partial(network_input, contract=self.manifest.contract)
        work = partial(self._features, top_k=top_k)
        return self._feature_sessions.run_many("features_many", photos, decode, work, _PREDICT_BYTES)

    def infer(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
        """Run the network without preprocessing: for timing, or to decode a photo once for several networks.

        Args:
            image: RGB uint8 ``[size, size, 3]``, as ``network_input`` gives it.

        Returns:
            Logits float32 ``[classes]``, heat maps float32 ``[maps, h, w]``, and the indices of their classes, int64
            ``[maps]``, best-ranked first. ``ModelError`` is raised if a value is not finite.
        """
        return tuple(self._sessions.run(None, image, *_OUTPUTS))

    def rank(self, scores: NDArray[np.float32], top_k: int = 5, *, logits: bool = False) -> Prediction:
        """Turn logits into a prediction, best class first.

        Args:
            scores: logits, float32 ``[classes]``.
            top_k, logits: as for ``predict``.

        Raises:
            ModelError: a logit is not finite.
        """
        check_finite(scores, self._file.path)
        ranking = ranked(scores, self.temperature, self.labels, self.manifest.display_names, top_k)
        return Prediction(ranking, ranking[0].probability < self.threshold, scores if logits else None)

    def index(self, label: str) -> int:
        """The index of a class among the logits, by its name or display name, in any encoding of accents and spaces.

        Raises:
            UsageError: the model has no such class, or several with this display name.
        """
        from edgeclf.class_names import class_index  # rarely needed, and importing it takes a millisecond

        return class_index(label, self.labels, self.manifest.display_names)

    def _predict(self, session: Any, read: InputAndFacts, top_k: int, logits: bool) -> Prediction:
        (scores,) = self._sessions.run(session, read[0], "logits")
        return replace(self.rank(scores, top_k, logits=logits), facts=read[1])

    def _features(self, session: Any, image: NDArray[np.uint8], top_k: int) -> Features:
        scores, vector = self._feature_sessions.run(session, image, "logits", FEATURES)
        return Features(vector, self.rank(scores, top_k))

    def _network_input(self, photo: Photo) -> NDArray[np.uint8]:
        contract = self.manifest.contract  # decoded before a session is asked for: it may still be opening
        return photo if is_network_input(photo, contract) else network_input(photo, contract)

    def _decode(self, photo: Photo, facts: bool = False) -> DisplayAndFacts:
        return display_and_facts(photo, self.manifest.contract, DISPLAY_SIDE, facts=facts)

    def _explain(
        self, session: Any, photo: DisplayAndFacts, wanted: int | None, top_k: int, logits: bool
    ) -> Explanation:
        image, display, photo_size, facts = photo
        scores, cams, cam_class = self._sessions.run(session, image, *_OUTPUTS)
        all_classes = replace(self.rank(scores, len(self.labels), logits=logits), facts=facts)
        contract = self.manifest.contract
        return explanation_of(wanted, all_classes, top_k, cams, cam_class, display, photo_size, contract)
