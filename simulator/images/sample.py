"""A small enclave for a machine that has nothing but Python: an image as a folder.

`rootfs/` has this machine's interpreter, the libraries that it needs and no more of Python's own
library than the program imports; `config.json` says what runs, and `Dockerfile` says the same for
`nitro-cli build-enclave --docker-dir`. The program listens at vsock port 5000, and answers each
connection with its attestation document, which it asks of `/dev/nsm` as any enclave does. Or it is
a module of this environment, with all that it imports and the whole of each package that is not
Python's own: those import more when they are used.

Not a way to ship Python in an enclave: what is copied depends on this machine.
"""

from __future__ import annotations

import json
import os
import py_compile
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import cache_from_source
from pathlib import Path

from simulator.images.config import ImageConfig
from simulator.images.elf import BadElf, Elf, is_elf, read_elf, without_sections
from simulator.images.errors import BadImage
from simulator.images.folders import CONFIG, ROOTFS
from simulator.images.image import host_architecture

PORT = 5000
PROGRAM = "sample_enclave.py"

_PYTHON = "usr/bin/python3"
_LIBRARIES = "usr/lib"
_APP = "app.py"
_ARGUMENTS = ("-I", "-S", f"/{_APP}")
_MODULES = (
    "__future__",
    "array",
    "base64",
    "fcntl",
    "json",
    "os",
    "socket",
    "struct",
    "sys",
    "threading",
)
_PROGRAM_MODULES = (
    "runpy",
    *("locale", "shutil"),  # What argparse wants when it is used.
    # What Python wants to print a stack trace.
    *("linecache", "tokenize", "traceback"),
)
_SECONDS = 60

# Where the dynamic linker looks that neither a program nor its configuration names.
_STANDARD = (
    *("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib"),
    *(
        f"{top}/{machine}-linux-gnu"
        for top in ("/lib", "/usr/lib")
        for machine in ("x86_64", "aarch64")
    ),
)
_LINKER_CONFIGURATION = Path("/etc/ld.so.conf")

_LIST_MODULES = """
import importlib, json, sys
own = list(sys.path)
sys.path += {paths!r}
for name in {names!r}:
    importlib.import_module(name)
import encodings.ascii, encodings.latin_1, encodings.utf_8
modules = [module for module in sys.modules.values() if getattr(module, "__spec__", None)]
files = {{module.__spec__.name: getattr(module, "__file__", None) for module in modules}}
print(json.dumps({{
    "files": {{name: file for name, file in files.items() if file}},
    "own": own,
    "version": "python%d.%d" % sys.version_info[:2],
    "directory": sys.platlibdir,
}}))
"""


@dataclass(frozen=True, slots=True)
class _Python:
    """What there is to copy of an interpreter."""

    executable: Path
    version: str
    """Such as python3.11."""
    directory: str
    """Where extension modules are, `lib` or `lib64`."""
    files: dict[str, Path]
    """The file of each module of Python's own library."""
    packages: dict[str, Path]
    """The file of each module of others."""
    whole: frozenset[str]
    """The packages to copy with what nobody has imported yet."""


@dataclass(frozen=True, slots=True)
class Program:
    """A module of this environment that is to be the enclave's program, as `python -m` runs it."""

    module: str
    arguments: tuple[str, ...] = ()


def write_sample(
    folder: Path,
    *,
    modules: Iterable[str] = (),
    broken: bool = False,
    program: Program | None = None,
) -> None:
    """Write the image into a folder that is new or empty.

    `modules` may be imported by the program beside those that it needs. A `broken` image has the
    mistake of an ENTRYPOINT with its arguments in CMD: nitro-cli drops the former. Without
    `program` it is app.py. Raises BadImage, OSError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadImage(f"{folder} is there and not empty; give a new folder")
    if program is None:
        python = _python((*_MODULES, *modules), ())
    else:
        names = (*_PROGRAM_MODULES, *modules, program.module)
        python = _python(names, [str(Path(place).resolve()) for place in sys.path])
        ours = program.module.partition(".")[0]
        others = {name for name in python.packages if "." not in name and name != ours}
        python = replace(python, whole=frozenset(others))
    root = folder / ROOTFS
    _copy(python.executable, root / _PYTHON)
    _copy_modules(python, root)
    _copy_libraries(python, root)
    arguments: tuple[str, ...] = _ARGUMENTS
    if program is None:
        (root / _APP).write_bytes(Path(__file__).with_name(PROGRAM).read_bytes())
    else:
        arguments = ("-I", "-S", "-m", program.module, *program.arguments)
    config = _config(arguments, broken)
    (folder / CONFIG).write_text(json.dumps(config.document(), indent=2) + "\n")
    (folder / "Dockerfile").write_text(_dockerfile(config))


def _config(arguments: tuple[str, ...], broken: bool) -> ImageConfig:
    python = (f"/{_PYTHON}",)
    return ImageConfig(
        entrypoint=python if broken else None,
        cmd=arguments if broken else python + arguments,
        env=("PATH=/usr/bin", f"LD_LIBRARY_PATH=/{_LIBRARIES}"),
        architecture=host_architecture(),
    )


def _dockerfile(config: ImageConfig) -> str:
    lines = ["FROM scratch", f"COPY {ROOTFS}/ /", *(f"ENV {line}" for line in config.env)]
    for keyword, words in (("ENTRYPOINT", config.entrypoint), ("CMD", config.cmd)):
        lines += [] if words is None else [f"{keyword} {json.dumps(words)}"]
    return "".join(f"{line}\n" for line in lines)


def _python(modules: Iterable[str], paths: Sequence[str]) -> _Python:
    """The interpreter that this one is of, be it one of a virtual environment.

    In `paths` are the modules that are not its own.
    """
    # The type stubs do not know it; the virtual environment's own has no library beside it.
    executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    code = _LIST_MODULES.format(names=tuple(modules), paths=list(paths))
    try:
        finished = subprocess.run(  # noqa: S603  # This Python itself.
            [executable, "-I", "-S", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().rpartition("\n")[2]
        raise BadImage(f"{executable} cannot be copied: {reason}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadImage(f"{executable} cannot be run: {error}") from error
    found = json.loads(finished.stdout)
    files = {name: Path(file) for name, file in found["files"].items()}
    own = {name for name, file in files.items() if _is_own(file, found["own"])}
    return _Python(
        executable,
        found["version"],
        found["directory"],
        {name: file for name, file in files.items() if name in own},
        {name: file for name, file in files.items() if name not in own},
        frozenset(),
    )


def _is_own(file: Path, places: Iterable[str]) -> bool:
    inside = any(file.is_relative_to(place) for place in places)
    return inside and not {"site-packages", "dist-packages"} & set(file.parts)


def _copy_modules(python: _Python, root: Path) -> None:
    library = root / "usr/lib" / python.version
    extensions = root / "usr" / python.directory / python.version / "lib-dynload"
    # Python finds its library by these two.
    extensions.mkdir(parents=True)
    for name, file in sorted(python.packages.items()):
        module = Path(name.replace(".", "/"))
        inside = module if file.name == "__init__.py" else module.parent
        at = inside / file.name
        if name in python.whole and file.name == "__init__.py":
            _copy_package(file.parent, library / name)
        elif not (library / at).exists():
            _copy(file, library / at)
        if file.suffix == ".py":
            _compile(library / at, f"/{(library / at).relative_to(root)}")
    for name, file in sorted(python.files.items()):
        if file.suffix == ".py":
            path = name.replace(".", "/")
            at = Path(path, "__init__.py") if file.name == "__init__.py" else Path(f"{path}.py")
            _copy(file, library / at)
            _compile(library / at, f"/{(library / at).relative_to(root)}")
        else:
            _copy(file, extensions / file.name)


def _copy_package(source: Path, target: Path) -> None:
    """All of a package, without what was compiled for another place."""
    for file in source.rglob("*"):
        if file.suffix in {".py", ".so"} and "test" not in file.parts:
            _copy(file, target / file.relative_to(source))


def _compile(file: Path, shown: str) -> None:
    """Compile a module that no time stamp makes stale: the enclave has to start quickly."""
    py_compile.compile(
        str(file),
        cfile=cache_from_source(str(file)),
        dfile=shown,
        doraise=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _copy_libraries(python: _Python, root: Path) -> None:
    """The linker and every library that a copied file needs, in one directory."""
    program = _elf(python.executable)
    if program.interpreter is not None:
        _copy(Path(program.interpreter), root / program.interpreter.lstrip("/"))
    extensions = (*python.files.values(), *python.packages.values())
    waiting = [python.executable, *(file for file in extensions if file.suffix == ".so")]
    inherited = tuple(_search(python.executable, program))
    copied: set[str] = set()
    while waiting:
        file = waiting.pop()
        elf = _elf(file)
        for name in elf.needed:
            if name not in copied:
                copied.add(name)
                library = _library(name, (*_search(file, elf), *inherited))
                _copy(library, root / _LIBRARIES / name)
                waiting.append(library)


def _elf(path: Path) -> Elf:
    try:
        with path.open("rb") as file:
            return read_elf(file)
    except (OSError, BadElf) as error:
        raise BadImage(f"cannot read {path}, which the sample needs: {error}") from error


def _search(file: Path, elf: Elf) -> Iterator[str]:
    for directory in elf.search:
        for origin in ("$ORIGIN", "${ORIGIN}"):
            directory = directory.replace(origin, str(file.resolve().parent))  # noqa: PLW2901
        yield directory


def _library(name: str, search: Iterable[str]) -> Path:
    for directory in (*search, *_configured(_LINKER_CONFIGURATION), *_STANDARD):
        path = Path(directory, name)
        if path.is_file():
            return path.resolve()
    raise BadImage(f"this Python needs the library {name}, which is not where libraries are")


def _configured(file: Path, depth: int = 0) -> Iterator[str]:
    """The directories in the dynamic linker's configuration."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return
    for line in (line.partition("#")[0].strip() for line in lines):
        if line.startswith("include ") and depth < 4:
            pattern = os.path.relpath(line.split(maxsplit=1)[1], file.parent)
            for included in sorted(file.parent.glob(pattern)):
                yield from _configured(included, depth + 1)
        elif line.startswith("/"):
            yield line


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    target.write_bytes(without_sections(data, _elf(source)) if is_elf(data) else data)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
