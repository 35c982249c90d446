"""How processes find each other, agree, and end together."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import host_processes
import jax
import pytest

from ava_jax import errors
from ava_jax.errors import UserError
from ava_jax.runtime import consistency, multihost, preemption, sharding
from ava_jax.runtime import initialize as initialize_module
from ava_jax.runtime.initialize import initialize, launcher

ROOT = pathlib.Path(__file__).parents[2]


# ------------------------------------------------------------------ before the start


@pytest.mark.parametrize(
    "flags, message",
    [
        ((None, 2, 0), "--coordinator missing.*HOST:PORT"),
        (("a:1", None, None), "--processes and --process missing"),
        (("nowhere", 2, 0), "'nowhere'; expected HOST:PORT"),
        (("a:http", 2, 1), "'a:http'; expected HOST:PORT"),
        (("a:1", 2, 2), "--process is 2 of 2; expected 0 to 1"),
    ],
)
def test_flags_that_say_too_little(flags, message):
    with pytest.raises(UserError, match=message), initialize(*flags):
        pass


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with (
            pytest.raises(UserError, match=rf"cannot listen on port {port}.*another"),
            initialize(f"127.0.0.1:{port}", 2, 0),
        ):
            pass


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({}, None),
        ({"SLURM_NTASKS": "8", "SLURM_STEP_NODELIST": "gpu[1-2]"}, "Slurm"),
        # A shell on one node, and the body of a batch script.
        ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "gpu1"}, None),
        ({"SLURM_NTASKS": "8"}, None),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "Open MPI"),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, None),
        (
            {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "0"},
            "Kubernetes",
        ),
    ],
)
def test_who_started_the_processes(environment, expected, monkeypatch):
    for name in ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert launcher() == expected


@pytest.mark.parametrize(
    "platforms, expected", [({}, "Cloud TPU"), ({"JAX_PLATFORMS": "cpu"}, "None")]
)
def test_a_cloud_tpu_is_found_by_jax(platforms, expected):
    """`JAX_FORCE_TPU_INIT` makes JAX's import do what it does on a TPU VM."""
    environment = {k: v for k, v in os.environ.items() if k != "JAX_PLATFORMS"}
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "from ava_jax.runtime import initialize; print(initialize.launcher())",
        ],
        env=environment | platforms | {"JAX_FORCE_TPU_INIT": "1"},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert result.stdout.strip() == expected, result.stderr


def test_alone_when_nobody_says_otherwise(tmp_path):
    with initialize():
        assert not jax.distributed.is_initialized()
        assert multihost.allgather_text("name", "text") == ["text"]
        multihost.barrier("here")
        consistency.check_shared(tmp_path)
        consistency.check_equal("something", {"a": 1}, "")
    assert not list(tmp_path.iterdir())


def test_missing_devices_are_told():
    found = jax.device_count()
    with pytest.raises(UserError, match=rf"is {found + 1}, but JAX sees {found} \(pro"):
        sharding.make_mesh(found + 1)
    assert sharding.make_mesh(found).size == found


# ------------------------------------------------------------------- two processes


def two(function, tmp_path, *arguments):
    return host_processes.start(function, 2, tmp_path / "output", *arguments)


def _talk(i, address, folder):
    with initialize(address, 2, i):
        with multihost.main_process_first("file"):
            file = folder / "file"
            assert file.exists() == (i == 1)
            file.touch()
        for _ in range(2):  # a name can be used again
            assert multihost.allgather_text("number", str(i)) == ["0", "1"]
        consistency.check_shared(folder)
        consistency.check_equal("something", {"a": 1}, "")


def test_processes_talk(tmp_path):
    group = two(_talk, tmp_path, tmp_path)
    assert group.wait() == [0, 0], group.text(0) + group.text(1)
    assert {path.name for path in tmp_path.iterdir()} == {"output", "file"}


def _look_for_private_names(i, address):
    with initialize(address, 1, i):
        state = multihost.distributed_state()
        assert {"client", "process_id", "coordinator_address"} <= set(dir(state))
        used = {"blocking_key_value_get", "key_value_dir_get", "key_value_set"}
        assert used <= set(dir(state.client))


def test_the_private_names_of_jax_are_there(tmp_path):
    """If not, `multihost.distributed_state` does not fit the installed JAX."""
    group = host_processes.start(_look_for_private_names, 1, tmp_path)
    assert group.wait() == [0], group.text()


def _differ(i, address, fields):
    with initialize(address, 2, i):
        consistency.check_equal("their configurations", fields[i], "Use the same.")


def _separate(i, address, folders):
    consistency.SHARED_SECONDS = 1
    with initialize(address, 2, i):
        consistency.check_shared(folders[i])


def _fail(i, address, who):
    with initialize(address, 2, i):
        if i == who:
            raise UserError("frame 7 is missing")
        multihost.barrier("never")


def _raise(i, address):
    with initialize(address, 2, i):
        if i == 1:
            raise ZeroDivisionError("a mistake in the program")
        multihost.barrier("never")


def _die(i, address, who):
    initialize_module.HEARTBEAT_TIMEOUT = 10
    with initialize(address, 2, i):
        multihost.barrier("both are here")
        if i == who:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(600)


def _stop(i, address):
    """Process 1 is asked to stop, and both do after step 4."""
    with initialize(address, 2, i), preemption.handle_signals() as signals:
        for step in range(1, 10):
            if i == 1 and step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            if signals.reached_sync_point(step, every=2):
                print(f"stopped after step {step}")
                raise KeyboardInterrupt


def _stop_as_main_does(i, address):
    try:
        _stop(i, address)
    except KeyboardInterrupt as error:
        sys.exit(errors.tell(error))


def _interrupt_one(i, address):
    with initialize(address, 2, i):
        if i == 1:
            raise KeyboardInterrupt
        multihost.barrier("never")


def test_different_configurations(tmp_path):
    fields = [{"seed": 0, "lr": 0.1}, {"seed": 1, "lr": 0.1}]
    group = two(_differ, tmp_path, fields)
    assert group.wait() == [1, 1]
    message = (
        r"differ in their config.*\n  process 1 on .*: seed is 1 and on process 0 0"
    )
    for i in range(2):
        assert re.search(message + "\nUse the same", group.text(i)), group.text(i)


def test_different_folders(tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    group = two(_separate, tmp_path, folders)
    assert group.wait() == [1, 1]
    for i in range(2):
        message = r"of process 0 on .*/a, is not .*:\n  process 1 on .*/b\n.*--workdir"
        assert re.search(message, group.text(i)), group.text(i)
    assert not list(folders[0].iterdir())


@pytest.mark.parametrize("who", [0, 1])
def test_one_process_fails_and_all_end_with_its_message(tmp_path, who):
    group = two(_fail, tmp_path, who)
    assert group.wait() == [1, 1]
    assert "Error: frame 7 is missing\n" in group.text(who)
    message = rf"Error: process {who} on \S+ stopped: frame 7 is missing"
    assert re.search(message, group.text(1 - who)), group.text(1 - who)


def test_a_fault_keeps_its_traceback(tmp_path):
    group = two(_raise, tmp_path)
    assert group.wait() == [1, 1]
    assert "ZeroDivisionError: a mistake in the program" in group.text(1)
    assert "Traceback" in group.text(1)
    assert "process 1" in group.text(0)
    assert "Traceback" not in group.text(0)


@pytest.mark.parametrize("who", [0, 1])
def test_a_killed_process_ends_the_other(tmp_path, who):
    group = two(_die, tmp_path, who)
    codes = group.wait()
    assert codes[who] == -signal.SIGKILL
    assert codes[1 - who] not in (0, None)
    # JAX's own words.
    assert "another task died" in group.text(1 - who), group.text(1 - who)


def test_one_is_asked_to_stop_and_all_do_after_the_same_step(tmp_path):
    group = two(_stop_as_main_does, tmp_path)
    assert group.wait() == [130, 130], group.text(0) + group.text(1)
    for i in range(2):
        lines = group.text(i).splitlines()
        assert "stopped after step 4" in lines
        # JAX may log more after it.
        assert any(line.startswith("Interrupted. The same") for line in lines)


def test_one_is_interrupted_and_ends_the_other(tmp_path):
    group = two(_interrupt_one, tmp_path)
    assert group.wait() == [1, 130], group.text(0) + group.text(1)
    assert "stopped: KeyboardInterrupt" in group.text(0)


def _be_alone(i, address, process):
    initialize_module.INITIALIZATION_TIMEOUT = 1
    with initialize(address, 2, process):
        pass


@pytest.mark.parametrize(
    "process, message",
    [
        (
            0,
            r"Process 0 waited at 127\.0\.0\.1:\d+ for 1 s, and not all processes",
        ),
        (1, r"Process 1 did not reach .*:\d+ within 1 s: .*refused.*firewall"),
    ],
)
def test_the_others_do_not_come(tmp_path, process, message):
    group = host_processes.start(_be_alone, 1, tmp_path / "output", process)
    assert group.wait() == [1]
    assert re.search(message, group.text()), group.text()


def _divide(i, address, batch):
    del i, address
    assert jax.device_count() == 3
    sharding.rows_of_this_host(batch, "config.train.batch")


def test_a_batch_that_the_devices_cannot_share(tmp_path):
    group = host_processes.start(_divide, 1, tmp_path / "output", 8, devices=3)
    assert group.wait() == [1]
    message = r"train.batch is 8, which 3 devices cannot .* --config.train.batch=9"
    assert re.search(message, group.text()), group.text()


# ------------------------------------------------------------------- launch_local


def launch(folder, *arguments):
    """`scripts/launch_local.py`, which starts the `ava_jax.main` of that folder."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/launch_local.py"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("code", [0, 3])
def test_local_processes_are_started_and_stopped(tmp_path, code):
    """With a stand-in that prints what it was given; process 1 ends with `code`."""
    (tmp_path / "ava_jax").mkdir()
    (tmp_path / "ava_jax/__init__.py").touch()
    (tmp_path / "ava_jax/main.py").write_text(
        "import os, sys\n"
        "print(sys.argv[1:], os.environ['JAX_LOCAL_DEVICE_IDS'])\n"
        f"sys.exit({code} * ('--process=1' in sys.argv))\n"
    )
    result = launch(tmp_path, "-n", "2", "--devices", "2", "--", "--config=a.py")
    assert result.returncode == code, result.stderr
    lines = sorted(result.stdout.splitlines())
    for i, devices in enumerate(("0,1", "2,3")):
        expected = (
            rf"\[{i}\] \['--config=a.py', '--coordinator=127.0.0.1:\d+', "
            rf"'--processes=2', '--process={i}'\] {devices}"
        )
        assert re.fullmatch(expected, lines[i]), lines
