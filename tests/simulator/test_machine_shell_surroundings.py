"""Scripts on a simulated instance, over systems that are other than most: mounts, links, users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import cli
from simulator.interpose.plan import Rung
from tests.simulator import as_nobody
from tests.simulator.as_nobody import NEEDED, NOBODY
from tests.simulator.supervised import needs
from tests.simulator.test_machine_shell import ROOT, made
from tests.simulator.test_run_unprivileged import pytest_as_nobody

_MOUNTED = """
import os, sys
from simulator.interpose import kernel
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
kernel.mount(sys.argv[1], "/etc/hostname", "", kernel.MS_BIND)
kernel.mount(sys.argv[2], "/var/log", "", kernel.MS_BIND)
os.execv(sys.argv[3], sys.argv[3:])
"""


@pytest.mark.parametrize("user", ["root", "nobody"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount something before")
def test_what_is_mounted_below_a_layer_stays_as_it_is(tmp_path: Path, user: str) -> None:
    """As in a container, or with `/var/log` on a file system of its own."""
    needs(Rung.NAMESPACES)
    instance = made(tmp_path / "machine", tmp_path / "here")
    file, folder = tmp_path / "hostname", tmp_path / "log"
    file.write_text("before\n")
    folder.mkdir()
    (folder / "old").write_text("old\n")
    script = (
        "cat /etc/hostname /var/log/old; echo after > /etc/hostname || true; "
        "echo new > /var/log/new; rm /var/log/old; cat /var/log/new; ls /var/log/nitro_enclaves"
    )
    words = instance.command("--", "bash", "-euc", script)
    variables = instance.variables()
    if user == "nobody":
        for path in (tmp_path, *tmp_path.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        words = [sys.executable, as_nobody.__file__, *words]
        variables[NEEDED] = str(tmp_path)
    finished = subprocess.run(
        [sys.executable, "-c", _MOUNTED, str(file), str(folder), *words],
        cwd=instance.folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout.startswith("before\nold\nnew\n"), finished
    assert finished.returncode == 0, finished
    assert file.read_text() == "before\n"
    assert [path.name for path in folder.iterdir()] == ["old"]
    cli.main(["machine", "stop", "--machine", str(instance.path)])


_AS_ROOT = """
import os, sys
from pathlib import Path
from simulator.interpose import kernel
user, group = os.getuid(), os.getgid()
kernel.unshare(kernel.CLONE_NEWUSER)
Path("/proc/self/setgroups").write_text("deny")
Path("/proc/self/uid_map").write_text(f"0 {user} 1")
Path("/proc/self/gid_map").write_text(f"0 {group} 1")
os.execv(sys.argv[1], sys.argv[1:])
"""


_LINKED = """
import os, sys
from pathlib import Path
from simulator.interpose import kernel
kernel.unshare(kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
new = Path(sys.argv[1])
kernel.mount(str(new), str(new), "", kernel.MS_BIND)
for path in Path("/").iterdir():
    if path.name in {"home", "opt", "bin"}:
        continue
    if path.is_symlink():
        (new / path.name).symlink_to(path.readlink())
    elif path.is_dir():
        (new / path.name).mkdir()
        kernel.mount(str(path), str(new / path.name), "", kernel.MS_BIND | kernel.MS_REC)
for name in ("data", "data/home", "data/opt", "bin"):
    (new / name).mkdir()
for name in ("home", "opt"):
    (new / name).symlink_to(f"data/{name}")
for name in ("sh", "bash"):
    (new / "bin" / name).symlink_to(f"/usr/bin/{name}")
directory = os.getcwd()
os.chroot(new)
os.chdir(directory)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have another root folder")
def test_folders_that_are_links_and_programs_beside_usr(tmp_path: Path) -> None:
    needs(Rung.NAMESPACES)
    if Path("/home") in ROOT.parents or Path("/opt") in Path(sys.base_prefix).parents:
        pytest.skip("this clone, or Python, is in a folder that another is put in place of")
    instance = made(tmp_path / "machine", tmp_path / "here")
    root = tmp_path / "root"
    root.mkdir()
    script = "touch /home/new /opt/new /bin/new; ls /home/new /opt/new; nitro-cli describe-enclaves"
    finished = subprocess.run(
        [sys.executable, "-c", _LINKED, str(root), *instance.command("--", "bash", "-euc", script)],
        cwd=instance.folder,
        env=instance.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == ("/home/new\n/opt/new\n[]\n", "")
    assert not [path for name in ("data", "bin") for path in (root / name).rglob("new")]
    cli.main(["machine", "stop", "--machine", str(instance.path)])


@pytest.mark.skipif(os.geteuid() == 0, reason="root has no need of it")
def test_root_of_a_user_namespace(tmp_path: Path) -> None:
    """As in a container of another user than root."""
    needs(Rung.NAMESPACES)
    instance = made(tmp_path / "machine", tmp_path / "here")
    folder = "/etc/profile.d"
    script = f"rm -rf {folder}; mkdir {folder}; touch {folder}/new; ls {folder}"
    finished = subprocess.run(
        [sys.executable, "-c", _AS_ROOT, *instance.command("--", "bash", "-euc", script)],
        cwd=instance.folder,
        env=instance.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (finished.stdout, finished.stderr) == ("new\n", "")
    cli.main(["machine", "stop", "--machine", str(instance.path)])


@pytest.mark.parametrize(
    "which",
    ["is_on or are_on or at_once or namespace", "instance_is or not_installed or set_up"],
    ids=["together", "alone"],
)
def test_it_is_the_same_for_nobody(which: str) -> None:
    needs(Rung.NAMESPACES)
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; who is not root runs the other tests so")
    finished = pytest_as_nobody(
        "tests/simulator/test_machine_shell.py",
        "tests/simulator/test_machine_shell_surroundings.py",
        *("-k", which),
    )
    assert finished.returncode == 0, finished.stdout
    assert "skipped" not in finished.stdout
