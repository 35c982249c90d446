"""The service over HTTP: right scores, bad requests, full queues, its end."""

import base64
import concurrent.futures
import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib

import cv2
import numpy as np
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import given, settings
from made_up import made_up_variables
from schemathesis.specs.openapi.checks import positive_data_acceptance
from video_files import pictures, write_video

from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.predict import Detector
from ava_jax.serving.app import make_app
from ava_jax.serving.batching import Batcher
from ava_jax.serving.limits import Limits
from ava_jax.serving.work import Service
from configs import mini as mini_config

ROOT = pathlib.Path(__file__).parents[2]
BOXES = np.array([[4, 4, 30, 44], [20, 2, 60, 46]], np.float32)
# Batches of other sizes sum in another order; measured 6e-8, and answers have four
# digits.
TOLERANCE = 6e-5


def people(frame):
    return np.column_stack([BOXES, [0.9, 0.8]]).astype(np.float32)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    config = mini_config.get_config()
    config.data.source = "folder"
    config.data.clip_len, config.data.frame_interval = 4, 2
    config.data.test_short_side = 48
    config.data.max_boxes = 4
    config.model.backbone, config.model.width = "slowonly", 8
    root = tmp_path_factory.mktemp("served")
    state = to_state_dict(made_up_variables(config.model))
    write_pytorch(root / "tiny.pth", state, {})
    convert_file.convert_file(root / "tiny.pth", root / "out", config)
    return root / "out"


@pytest.fixture(scope="module")
def detector(directory):
    return Detector.from_checkpoint(directory)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mov"
    return write_video(path, pictures(40))


@pytest.fixture
def serve(detector, monkeypatch, tmp_path):
    """Makes clients of services, which end with the test."""
    clients = []
    # Where uploads go, to see that nothing stays there.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def make(find=people, batch=4, **limits):
        service = Service(detector, find, Limits(**limits), batch)
        client = TestClient(make_app(service), raise_server_exceptions=False)
        client.__enter__()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.__exit__(None, None, None)
    assert list(tmp_path.glob("ava_jax_*")) == []


def lines_of(response):
    assert response.status_code == 200, response.text
    return [json.loads(line) for line in response.text.splitlines()]


def post(client, film, **query):
    content = pathlib.Path(film).read_bytes()
    return client.post("/video", content=content, params=query)


def check_lines(lines, results):
    assert [line["time"] for line in lines] == [round(r.time, 3) for r in results]
    for line, result in zip(lines, results, strict=True):
        assert [p["id"] for p in line["people"]] == result.track_ids.tolist()
        for person, row in zip(line["people"], result.scores, strict=True):
            for name, score in person["actions"].items():
                expected = row[result.labels.index(name)]
                assert score == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("every", [1, 0.5])
def test_a_video_is_scored_as_by_the_detector(serve, detector, film, every):
    results = list(detector.predict_video(film, people, every=every, smooth=True))
    check_lines(lines_of(post(serve(), film, every=every)), results)


def test_requests_at_the_same_time_get_their_own(serve, detector, tmp_path):
    """Videos of two sizes, of which each size shares batches."""
    films = []
    for i in range(6):
        size = (48, 64) if i % 2 else (64, 48)
        frames = np.roll(pictures(30, *size), i, axis=0)
        films.append(write_video(tmp_path / f"{i}.mov", frames))
    client = serve(parallel=6, batch=2)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda film: post(client, film), films))
    for film, answer in zip(films, answers, strict=True):
        results = list(detector.predict_video(film, people, smooth=True))
        check_lines(lines_of(answer), results)
    metrics = client.get("/metrics").text
    assert re.search(r"^ava_jax_clips_total 18\.0$", metrics, re.M)
    assert 'ava_jax_requests_total{path="/video",status="200"} 6.0' in metrics
    assert 'ava_jax_request_seconds_count{path="/video"} 6.0' in metrics
    assert "ava_jax_active 0.0" in metrics and "ava_jax_waiting 0.0" in metrics


def encoded(frames, kind=".png"):
    return [
        base64.b64encode(cv2.imencode(kind, frame[..., ::-1])[1]).decode()
        for frame in frames
    ]


def test_a_clip(serve, detector):
    frames = pictures(4)
    body = {"frames": encoded(frames), "boxes": BOXES.tolist()}
    answer = serve().post("/clip", json=body).json()["people"]
    expected = detector.predict(frames, BOXES)
    assert len(answer) == 2
    for person, row in zip(answer, expected, strict=True):
        assert list(person) == list(detector.labels[1:])
        np.testing.assert_allclose(list(person.values()), row[1:], atol=TOLERANCE)
    body["boxes"] = []
    assert serve().post("/clip", json=body).json() == {"people": []}


def test_what_a_client_should_know(serve, detector):
    about = serve(seconds=30).get("/model").json()
    assert about["actions"] == list(detector.labels[1:])
    assert about["clip"] == {"frames": 4, "frame_interval": 2, "fps": 10}
    assert about["limits"]["seconds"] == 30
    assert serve().get("/health").json() == {"status": "ok"}
    assert serve().get("/nothing").status_code == 404


def playlist(path):
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{path}\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda film: b"", "cannot be opened"),
        (lambda film: b"no video at all", "cannot be opened"),
        (lambda film: film.read_bytes()[:300], "cannot be opened|no video stream"),
        # What names other files is not followed.
        (lambda film: playlist(film).encode(), "cannot be opened"),
        (lambda film: f"ffconcat version 1.0\nfile '{film}'\n".encode(), "cannot"),
        (lambda film: cv2.imencode(".png", pictures(1)[0])[1].tobytes(), "cannot"),
    ],
)
def test_what_is_no_video(serve, film, content, message):
    client = serve()
    answer = client.post("/video", content=content(pathlib.Path(film)))
    assert answer.status_code == 400 and re.search(message, answer.json()["error"])
    # The name of our file is of no use to a client.
    assert "/tmp" not in answer.text


@pytest.mark.parametrize(
    ("limits", "status", "message"),
    [
        ({"megabytes": 0.001}, 413, "too large"),
        ({"seconds": 2}, 400, "longer than 2 s"),
        ({"pixels": 100}, 400, "64 x 48 pixels; expected at most 100"),
        ({"timeout": 1e-6}, 504, "took too long"),
    ],
)
def test_limits_of_a_video(serve, film, limits, status, message):
    client = serve(**limits)
    answer = post(client, film)
    assert answer.status_code == status and message in answer.json()["error"]
    if "megabytes" in limits:  # also if its size is not declared
        content = pathlib.Path(film).read_bytes()
        parts = (content[i : i + 500] for i in range(0, len(content), 500))
        assert client.post("/video", content=parts).status_code == 413
    # A request that failed gives its place back.
    assert "ava_jax_active 0.0" in client.get("/metrics").text


def huge_png():
    """A PNG of a few hundred bytes that declares 50,000 x 50,000 pixels."""
    small = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1]
    content = bytearray(small.tobytes())
    content[16:24] = (50_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return base64.b64encode(content).decode()


def numpy_file():
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return base64.b64encode(file.getvalue()).decode()


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"frames": []}, 400, "0 frames; expected 4"),
        ({"frames": ["!"] * 4}, 400, "Frame 0 is no base64"),
        ({"frames": [numpy_file()] * 4}, 400, "Frame 0 is no JPEG or PNG"),
        ({"frames": [huge_png()] * 4}, 400, "Frame 0 (has 50000 x|is no JPEG)"),
        ({"frames": encoded(pictures(3)) + encoded(pictures(1, 9, 9))}, 400, "sizes"),
        ({"boxes": [[1, 2, 3]]}, 400, "boxes"),
        ({"boxes": [[9, 9, 2, 2]]}, 400, "boxes"),
        ({"boxes": [[900, 900, 999, 999]]}, 400, "boxes"),
        ({"boxes": [[0, 0, 9, 9]] * 3}, 400, "3 boxes; expected 2 at most"),
        ({"boxes": "x"}, 422, "boxes"),
        ({"frames": 3}, 422, "frames"),
    ],
)
def test_what_is_no_clip(serve, change, status, message):
    body = {"frames": encoded(pictures(4)), "boxes": BOXES.tolist()} | change
    answer = serve(boxes=2).post("/clip", json=body)
    assert answer.status_code == status, answer.text
    assert re.search(message, answer.json()["error"])


@pytest.mark.parametrize("every", ["0", "1000", "nan", "x"])
def test_key_frames_that_nobody_wants(serve, film, every):
    assert post(serve(), film, every=every).status_code == 422


def test_a_full_queue(serve, film):
    """One at work, one waits, the third is refused and may come again."""
    at_work, go_on = threading.Event(), threading.Event()

    def slow(frame):
        at_work.set()
        assert go_on.wait(30)
        return people(frame)

    client = serve(slow, parallel=1, queue=1)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, client, film)
        assert at_work.wait(30)
        second = pool.submit(post, client, film)
        while "ava_jax_waiting 1.0" not in client.get("/metrics").text:
            time.sleep(0.01)
        refused = post(client, film)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
        go_on.set()
        assert first.result().status_code == second.result().status_code == 200
    assert post(client, film).status_code == 200


def test_a_failure_while_scoring_is_told_and_ends_there(detector):
    class Broken:
        def start(self, rows, batch):
            raise RuntimeError("out of memory")

    scorer = detector.scorer
    rows = scorer.rows(pictures(4), BOXES, (48, 64))
    batcher = Batcher(Broken(), 4)
    with pytest.raises(RuntimeError, match="out of memory"):
        batcher.score(rows, 30)
    batcher._scorer = scorer
    assert batcher.score(rows, 30).shape == (2, len(detector.labels))
    batcher.close()


def test_a_damaged_video_ends_with_what_was_scored(serve, film):
    content = pathlib.Path(film).read_bytes()
    answer = serve().post("/video", content=content[: len(content) * 2 // 3])
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert 0 < len(answer.text.splitlines()) < 4


@pytest.mark.parametrize("path", ["/health", "/model", "/metrics", "/clip", "/video"])
def test_made_up_requests(serve, path):
    """No request is an error of the server, or has an answer of another form."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", serve().app)
    (operation,) = schema.include(path=path).get_all_operations()

    @settings(max_examples=30, deadline=None, database=None)
    @given(case=operation.ok().as_strategy())
    def check(case):
        # What fits the schema may still be no picture or no video.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()


@pytest.mark.slow
def test_the_service_ends_in_peace(directory, film, tmp_path):
    command = [sys.executable, "-m", "ava_jax", "serve", "--checkpoint", directory]
    command += ["--port=0", "--detector=hog", "--size=64x48"]
    log = tmp_path / "log"
    with open(log, "w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, stderr=file, env=os.environ | {"JAX_PLATFORMS": "cpu"}
        )
    try:
        end = time.monotonic() + 60
        while not (found := re.search(r"http://127.0.0.1:(\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        url = f"http://127.0.0.1:{found[1]}"
        # A client that goes away in the middle of its upload gives its place back.
        with socket.create_connection(("127.0.0.1", int(found[1]))) as gone:
            head = b"POST /video HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"
            gone.sendall(head + b"some")
        content = pathlib.Path(film).read_bytes()
        with urllib.request.urlopen(f"{url}/video", content) as answer:
            assert len(answer.read().splitlines()) == 4
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert b"ava_jax_active 0.0" in answer.read()
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, -signal.SIGTERM)
    assert "Application shutdown complete" in log.read_text()
