"""How many clips a second the service scores, and how long a request takes."""

import argparse
import base64
import concurrent.futures
import contextlib
import itertools
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import cv2
import jax
import numpy as np

from ava_jax import command_line
from ava_jax import config as ava_config
from ava_jax.models import init_variables
from ava_jax.predict import Detector
from ava_jax.serving.limits import Limits
from ava_jax.serving.work import Service

NAME = "serve"
HELP = "requests to the service on this machine: rate, median and 99th percentile"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this part's flags."""
    add = parser.add_argument
    add(
        "--config",
        default="configs/mini.py",
        metavar="FILE[:VARIANT]",
        help="configuration: configs/FILE.py or configs/FILE.py:VARIANT",
    )
    add(
        "--clients",
        type=command_line.whole(1),
        nargs="+",
        default=[1, 4, 16],
        metavar="N",
        help="clients, each of which waits for its answer before it asks again",
    )
    add(
        "--batches",
        type=command_line.whole(1),
        nargs="+",
        default=[1, 8],
        metavar="N",
        help="clips scored at once, at most",
    )
    add(
        "--requests",
        type=command_line.whole(1),
        default=200,
        metavar="N",
        help="of each number of clients",
    )
    add(
        "--size",
        type=command_line.size,
        default=(144, 192),
        metavar="HEIGHTxWIDTH",
        help="of the frames",
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """A row for each largest batch and number of clients."""
    config = ava_config.load(args.config)
    names = {i: f"action {i}" for i in range(1, config.model.num_classes)}
    detector = Detector(config, init_variables(config.model, jax.random.key(0)), names)
    body = _clip(config.data.clip_len, args.size)
    rows = []
    for batch, clients in itertools.product(args.batches, args.clients):
        limits = Limits(parallel=clients, queue=clients)
        service = Service(detector, lambda _: np.zeros((0, 5)), limits, batch)
        service.warm_up(args.size[::-1])
        with _listening(service) as url:
            for _ in range(2):  # what the first requests import is not of interest
                _ask(url, body)
            rows.append(_row(url, body, batch, clients, args.requests))
    return {"rows": rows}


def show(results: dict[str, Any]) -> None:
    """A line for each largest batch and number of clients."""
    for row in results["rows"]:
        print(_text(row))


def _clip(frames: int, size: tuple[int, int]) -> bytes:
    """The body of a request with five people."""
    height, width = size
    pictures = np.random.default_rng(0).integers(0, 256, (frames, 9, 12, 3), np.uint8)
    files = [
        cv2.imencode(".jpg", cv2.resize(picture, (width, height)))[1].tobytes()
        for picture in pictures
    ]
    content = {
        "frames": [base64.b64encode(file).decode() for file in files],
        "boxes": [[5 * i, 5, width / 2 + 5 * i, height - 5] for i in range(5)],
    }
    return json.dumps(content).encode()


@contextlib.contextmanager
def _listening(service: Service) -> Iterator[str]:
    # Of the extra `serve`, without which the other parts run.
    import uvicorn

    from ava_jax.serving.app import make_app

    config = uvicorn.Config(make_app(service), port=0, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    (socket,) = server.servers[0].sockets
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def _ask(url: str, body: bytes) -> float:
    """Seconds until the answer."""
    since = time.perf_counter()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/clip", body, headers)
    with urllib.request.urlopen(request) as answer:
        answer.read()
    return time.perf_counter() - since


def _row(url: str, body: bytes, batch: int, clients: int, requests: int) -> dict:
    since = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        seconds = list(pool.map(lambda _: _ask(url, body), range(requests)))
    wall = time.perf_counter() - since
    p50, p99 = np.quantile(seconds, [0.5, 0.99]).tolist()
    return {
        "batch": batch,
        "clients": clients,
        "requests a second": requests / wall,
        "p50": p50,
        "p99": p99,
    }


def _text(row: dict) -> str:
    return (
        f"batch {row['batch']:2}, {row['clients']:2} clients: "
        f"{row['requests a second']:6.1f} requests/s, median "
        f"{1000 * row['p50']:.0f} ms, 99th percentile {1000 * row['p99']:.0f} ms"
    )
