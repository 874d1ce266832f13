"""The engine that asks a worker: crashes, delays and cancelled photos, with a worker that does as it is told."""

from collections.abc import Callable
from typing import Any

SET_UP = """
    globalThis.document = { baseURI: "http://site.example/birds/" };
    const { wasmEngine } = await load("engine-wasm.js");
    const workers = [];
    class FakeWorker {
        constructor() { this.asked = []; this.ended = false; workers.push(this); }
        postMessage(question) {
            this.asked.push(question);
            if (question.kind === "open") this.answer(question, { file: "birds.onnx", address: question.address });
        }
        answer({ id }, value) { queueMicrotask(() => this.onmessage({ data: { id, value } })); }
        fail({ id }, kind) { queueMicrotask(() => this.onmessage({ data: { id, error: { kind, message: "why" } } })); }
        crash() { this.onerror({ message: "out of memory", preventDefault() {} }); }
        terminate() { this.ended = true; }
    }
    const engine = wasmEngine("model.json", { createWorker: () => new FakeWorker(), slowest: 0.2 });
    const photo = (name) => new File(["photo"], name);
    const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
    const outcome = (promise) => promise.then((value) => value, (error) => `${error.kind}: ${error.message}`);
"""


def test_one_worker_answers(in_node: Callable[..., Any]) -> None:
    found = in_node(
        SET_UP
        + """
        const model = await engine.model();
        const answers = [engine.predict(photo("a.jpg"), { topK: 2, threshold: 0.5 }), engine.predict(photo("b.jpg"))];
        await settled();
        const [, one, other] = workers[0].asked;
        workers[0].answer(other, { record: { path: "b.jpg" }, exact: false });
        workers[0].answer(one, { record: { path: "a.jpg" }, exact: true });
        const records = await Promise.all(answers);
        return [workers.length, model.address, one.name, one.options, records, records.map(engine.isExact)];
        """
    )
    options = {"topK": 2, "threshold": 0.5}
    records = [{"path": "a.jpg"}, {"path": "b.jpg"}]
    assert found == [1, "http://site.example/birds/model.json", "a.jpg", options, records, [True, False]]


def test_a_crash_ends_one_photo(in_node: Callable[..., Any]) -> None:
    """The photo in work fails; one that waited may be tried again; the next one gets a new worker."""
    found = in_node(
        SET_UP
        + """
        const answers = [engine.predict(photo("a.jpg")), engine.predict(photo("b.jpg"))].map(outcome);
        await settled();
        workers[0].crash();
        const failed = await Promise.all(answers);
        const next = engine.predict(photo("c.jpg"));
        await settled();
        workers[1].answer(workers[1].asked[1], { record: { path: "c.jpg" }, exact: true });
        return [failed, await next, workers[0].ended, workers.length];
        """
    )
    assert found == [["crashed: out of memory", "interrupted: "], {"path": "c.jpg"}, True, 2]


def test_a_worker_that_hangs(in_node: Callable[..., Any]) -> None:
    found = in_node(
        SET_UP
        + """
        const answer = await outcome(engine.predict(photo("a.jpg")));
        return [answer, workers[0].ended];
        """
    )
    assert found == ["timeout: ", True]


def test_a_cancelled_photo(in_node: Callable[..., Any]) -> None:
    found = in_node(
        SET_UP
        + """
        const control = new AbortController();
        const answer = outcome(engine.predict(photo("a.jpg"), { signal: control.signal }));
        await settled();
        control.abort();
        const before = await outcome(engine.predict(photo("b.jpg"), { signal: control.signal }));
        const asked = workers[0].asked.map((question) => question.kind);
        workers[0].answer(workers[0].asked[1], { record: {}, exact: true }); // too late
        await settled();
        return [await answer, before, asked];
        """
    )
    assert found == ["aborted: ", "aborted: ", ["open", "predict", "cancel"]]


def test_a_model_that_cannot_be_loaded(in_node: Callable[..., Any]) -> None:
    """As offline on a first visit: the error says so, and the next try begins anew."""
    found = in_node(
        SET_UP
        + """
        const real = FakeWorker.prototype.postMessage;
        FakeWorker.prototype.postMessage = function (question) { this.fail(question, "offline"); };
        const first = await outcome(engine.predict(photo("a.jpg")));
        FakeWorker.prototype.postMessage = real;
        return [first, await outcome(engine.model()), workers.map((one) => one.ended)];
        """
    )
    assert found[0] == "offline: why"
    assert found[1]["file"] == "birds.onnx"
    assert found[2] == [True, False]
