"""The parts of a machine that really boots: images as they are read, NSMs, and the supervisor."""

from __future__ import annotations

import json
import os
import platform
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest

from simulator.folder import keep_root
from simulator.interpose.plan import Rung
from simulator.machine.configuration import Configuration
from simulator.machine.heartbeat import HeartbeatListener
from simulator.machine.late_parts import late_parts
from simulator.machine.making import Installation, make
from simulator.machine.parts import (
    BadImage,
    BootFailed,
    BootRequest,
    CannotSimulate,
    Image,
    Nsm,
    UnreadableImage,
)
from simulator.machine.pki import JoinedNsm, OwnNsm, check, make_root
from simulator.machine.real_parts import Images, boot_image
from simulator.nitro_cli.connection import request
from simulator.nitro_cli.places import MachineFolder
from tests.simulator.booted import METADATA
from tests.simulator.booted import Image as SmallImage
from tests.simulator.parent_instance import PCRS
from tests.simulator.supervised import needs
from tests.simulator.test_command import served

SLOT = 0x19B0_1234_5678_ABCD
IMAGE = Image(PCRS, "Sha384 { ... }", None)
ROOT = Path(__file__).resolve().parents[2]
ATTEST = cbor2.dumps({"Attestation": {"user_data": None, "nonce": None, "public_key": None}})


def attested(nsm: Nsm) -> dict[str, Any]:
    document = cbor2.loads(nsm.handle(ATTEST))["Attestation"]["document"]
    payload: dict[str, Any] = cbor2.loads(cbor2.loads(document)[2])
    return payload


def test_an_enclave_attests_its_image_its_instance_and_its_id(tmp_path: Path) -> None:
    configuration = Configuration(region="eu-west-1")
    maker = OwnNsm(tmp_path, configuration)
    payload = attested(maker(SLOT, IMAGE, debug=False))
    assert payload["module_id"] == f"{configuration.instance_id}-enc{SLOT:016x}"
    assert [payload["pcrs"][index].hex() for index in (0, 1, 2)] == list(PCRS.values())
    assert any(payload["pcrs"][4])
    # The same root for the next one, and for the next broker.
    again = attested(OwnNsm(tmp_path, configuration)(SLOT + 1, IMAGE, debug=False))
    assert again["cabundle"][0] == payload["cabundle"][0]
    assert make_root(tmp_path, configuration) == tmp_path / "root.pem"


def test_a_debug_enclave_attests_zeros(tmp_path: Path) -> None:
    payload = attested(OwnNsm(tmp_path, Configuration())(SLOT, IMAGE, debug=True))
    assert [payload["pcrs"][index] for index in (0, 1, 2)] == [bytes(48)] * 3
    assert any(payload["pcrs"][4])


def test_a_folder_with_another_root_gives_no_nsm(tmp_path: Path) -> None:
    keep_root(tmp_path, b"another")
    with pytest.raises(CannotSimulate, match=r"root\.pem is stale"):
        OwnNsm(tmp_path, Configuration())(SLOT, IMAGE, debug=False)


def test_enclaves_of_a_server_that_is_joined() -> None:
    with served("--management-port", "0") as ready:
        configuration = Configuration(join=ready["management_endpoint"])
        nsm = JoinedNsm(configuration, print)(SLOT, IMAGE, debug=False)
        payload = attested(nsm)
        assert nsm.slot_uid is not None
        assert payload["module_id"] == f"{configuration.instance_id}-enc{nsm.slot_uid:016x}"
        assert payload["pcrs"][0].hex() == PCRS["PCR0"]
        nsm.close()
    assert make_root(Path("/nowhere"), configuration) is None
    with pytest.raises(CannotSimulate, match="Nobody answers"):
        JoinedNsm(configuration, print)(SLOT, IMAGE, debug=False)
    check(configuration)


@pytest.mark.parametrize("size", [0, 10, 4096])
def test_an_image_that_is_none(tmp_path: Path, size: int) -> None:
    path = tmp_path / "none.eif"
    path.write_bytes(b"x" * size)
    images = late_parts(tmp_path, Configuration()).images
    with pytest.raises(BadImage) as raised:
        images.check(path)
    assert not raised.value.is_signature
    assert raised.value.real_text
    with pytest.raises(UnreadableImage):
        images.read(path, "1.4.4")


def test_zeros_pass_the_check_and_do_not_boot(tmp_path: Path) -> None:
    path = tmp_path / "none.eif"
    path.write_bytes(bytes(4096))
    Images().check(path)
    with pytest.raises(UnreadableImage):
        Images().read(path, "1.4.4")


def test_an_image_with_its_metadata(tmp_path: Path) -> None:
    path = SmallImage(files={}).write(tmp_path / "small.eif")
    Images().check(path)
    image = Images().read(path, "1.4.4")
    assert image.hash_algorithm == "Sha384 { ... }"
    assert Images().read(path, "1.5.0").hash_algorithm == "Sha512_48 { .. }"
    assert list(image.pcrs) == ["PCR0", "PCR1", "PCR2"]
    assert image.metadata is not None
    assert image.metadata["ImageName"] == METADATA["ImageName"]


def test_an_image_with_a_wrong_checksum_passes_the_check_and_does_not_boot(tmp_path: Path) -> None:
    path = SmallImage(files={}).write(tmp_path / "small.eif")
    content = bytearray(path.read_bytes())
    content[content.index(b"kernel")] ^= 1
    path.write_bytes(content)
    Images().check(path)
    with pytest.raises(UnreadableImage):
        Images().read(path, "1.4.4")


def test_an_image_that_is_padded_boots_and_is_not_described(tmp_path: Path) -> None:
    path = SmallImage(files={}).write(tmp_path / "small.eif")
    assert Images().read(path, "1.4.4").not_described is None
    os.truncate(path, path.stat().st_size + 512)
    Images().check(path)
    assert Images().read(path, "1.4.4").not_described == "Found invalid EIF section"


def test_an_image_for_another_processor_does_not_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = SmallImage(files={}).write(tmp_path / "small.eif")
    other = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    monkeypatch.setattr(platform, "machine", lambda: other)
    with HeartbeatListener(tmp_path) as heartbeat, pytest.raises(BootFailed, match="processor is"):
        boot_image(
            BootRequest(
                eif=path,
                scratch=tmp_path / "scratch",
                fabric=tmp_path,
                cid=16,
                handle=bytes,
                debug=False,
                memory=1 << 20,
                heartbeat=heartbeat,
            )
        )


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[MachineFolder]:
    needs(Rung.OPEN_TRAP)
    make(tmp_path / "m", Configuration(), Installation())
    folder = MachineFolder(tmp_path / "m")
    yield folder
    list(request(folder, "stop"))


def test_a_killed_broker_takes_its_enclaves_along(folder: MachineFolder, tmp_path: Path) -> None:
    eif = SmallImage(command=("/bin/sh", "-c", "sleep 1000")).write(tmp_path / "a.eif")
    asked = {"eif_path": "a.eif", "directory": str(tmp_path), "memory_mib": 128, "cpu_count": 2}
    *_, last = request(folder, "run", asked)
    enclave = last["answer"]
    *_, last = request(folder, "status")
    ended = os.pidfd_open(enclave["ProcessID"])
    os.kill(last["answer"]["broker_process"], signal.SIGKILL)
    select.select([ended], [], [])
    os.close(ended)
    warning, last = request(folder, "describe")
    assert enclave["EnclaveID"] in warning["warning"]
    assert last == {"answer": []}
    assert list(folder.on_instance("/run/nitro_enclaves").iterdir()) == []
    assert list((folder.path / "enclaves").iterdir()) == []
    # The console's and the heartbeat's sockets too: they are as if nobody had been there.
    assert [one.name for one in folder.fabric.iterdir() if one.is_socket()] == []
    assert eif.exists()


def test_a_program_that_ends_is_seen_by_nobody(folder: MachineFolder, tmp_path: Path) -> None:
    """Bug 1 of the field notes: run-enclave succeeds, and then there is nothing."""
    SmallImage(command=("--mode", "vsock")).write(tmp_path / "a.eif")
    asked = {"eif_path": "a.eif", "directory": str(tmp_path), "memory_mib": 128, "cpu_count": 2}
    *_, last = request(folder, "run", asked)
    assert last.get("answer", {}).get("EnclaveName") == "a", last
    while list(request(folder, "describe")) != [{"answer": []}]:
        pass
    *_, last = request(folder, "run", asked)
    assert "answer" in last


def test_an_enclaves_process_that_is_killed_leaves_its_socket(
    folder: MachineFolder, tmp_path: Path
) -> None:
    SmallImage(command=("/bin/sh", "-c", "sleep 1000")).write(tmp_path / "a.eif")
    asked = {"eif_path": "a.eif", "directory": str(tmp_path), "memory_mib": 128, "cpu_count": 2}
    *_, last = request(folder, "run", asked)
    os.kill(last["answer"]["ProcessID"], signal.SIGKILL)
    while list(request(folder, "describe")) != [{"answer": []}]:
        pass
    assert len(list(folder.on_instance("/run/nitro_enclaves").iterdir())) == 1
    log = folder.on_instance("/var/log/nitro_enclaves/nitro_enclaves.log").read_text()
    assert "hang-up" not in log


def test_what_only_asks_imports_the_standard_library_only() -> None:
    """A broker is started while somebody waits for it."""
    code = (
        f"import sys; sys.path.append({str(ROOT)!r}); "
        "import simulator.machine.broker, simulator.machine.making; "
        "print(*{name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))"
    )
    finished = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert set(finished.stdout.split()) <= {"__main__", "simulator"}


def test_state_is_json_for_others_too(folder: MachineFolder) -> None:
    list(request(folder, "describe"))
    assert json.loads((folder.path / "state.json").read_text()) == {"enclaves": []}
