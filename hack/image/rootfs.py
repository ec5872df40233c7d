"""The base of the images: this machine's CPython and a few of its programs, with the libraries they need.

Works for a Python with a folder of its own and for Debian's in /usr alike: only ``sysconfig`` is asked.
In the image Python is at /usr/local, where it finds its standard library beside itself.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

VERSION = sysconfig.get_python_version()
SHELL_TOOLS = ("sh", "bash", "grep", "sed", "find", "xargs", "ps", "pgrep", "pkill", "kill", "hostname")
CORE_TOOLS = (
    *(
        "cat",
        "chmod",
        "cp",
        "cut",
        "date",
        "df",
        "echo",
        "env",
        "false",
        "head",
        "id",
        "ln",
        "ls",
        "mkdir",
        "mv",
    ),
    *(
        "nproc",
        "printf",
        "pwd",
        "readlink",
        "rm",
        "seq",
        "sleep",
        "sort",
        "stat",
        "tail",
        "tee",
        "test",
        "timeout",
    ),
    *("touch", "tr", "true", "uname", "wc"),
)
# neither needed by a server nor by a training script, and large
UNUSED_MODULES = (
    *("__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo"),
    *("ensurepip", "lib2to3", "pydoc_data", "config-*", "_tkinter*"),
)
# opened by the C library at run time, which ldd does not show
RUNTIME_LIBRARIES = (
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libresolv.so.2",
    "libgcc_s.so.1",
    "libstdc++.so.6",
)
ACCOUNTS = (
    "root:x:0:0:root:/:/bin/sh",
    "kfx:x:65532:65532:kfx:/tmp:/bin/sh",
    "nobody:x:65534:65534::/:/bin/sh",
)
USER_ID = 65532


def write_base(root: Path) -> None:
    """Fill ``root`` with a file system on which ``python3`` and ``sh`` run."""
    _write_skeleton(root)
    _copy_python(root)
    for tool in (*SHELL_TOOLS, *CORE_TOOLS):
        if found := shutil.which(tool, path="/usr/bin:/bin:/usr/sbin:/sbin"):
            shutil.copy(found, root / "usr" / "bin" / tool)
    copy_libraries(root, runtime_libraries())
    copy_libraries(root, needed_libraries(root))
    _strip(root)


def _strip(root: Path) -> None:
    """Drop symbols for debuggers, a quarter of the layer, where binutils are at hand."""
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", *_programs(root)], capture_output=True, check=False)


def _write_skeleton(root: Path) -> None:
    """Folders of a merged /usr, accounts, and a /tmp for everybody."""
    for folder in (
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "usr/local/bin",
        "etc",
        "proc",
        "sys",
        "dev",
        "root",
        "run",
        "var/run",
    ):
        (root / folder).mkdir(parents=True)
    for link in ("bin", "lib", "lib64"):
        (root / link).symlink_to(f"usr/{link}")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc" / "passwd").write_text("\n".join(ACCOUNTS) + "\n")
    (root / "etc" / "group").write_text("root:x:0:\nkfx:x:65532:\nnogroup:x:65534:\n")
    (root / "etc" / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")


def _copy_python(root: Path) -> None:
    """Interpreter and standard library."""
    binary = f"python{VERSION}"
    interpreter = Path(sys.executable).resolve()
    shutil.copy(interpreter, root / "usr/local/bin" / binary)
    for alias in ("python3", "python"):
        (root / "usr/local/bin" / alias).symlink_to(binary)
    library = root / "usr/local/lib" / binary
    shutil.copytree(
        sysconfig.get_path("stdlib"), library, symlinks=True, ignore=shutil.ignore_patterns(*UNUSED_MODULES)
    )
    compile_python(root, library)


def compile_python(root: Path, folder: Path) -> None:
    """Write pyc files that are never checked against their source, since the image drops times.

    Paths in tracebacks are those inside ``root``; what does not compile stays source.
    """
    command = [sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([*command, "-s", root, "-p", "/", folder], capture_output=True, check=False)


def needed_libraries(root: Path) -> set[Path]:
    """Shared libraries of this machine that the programs and modules below ``root`` ask for."""
    return {path for path in _linked(_programs(root)) if not path.is_relative_to(root)}


def interpreter_libraries() -> set[Path]:
    """Those that the base has for Python itself and for the C library's own use."""
    return _linked([Path(sys.executable).resolve()]) | runtime_libraries()


def _linked(programs: Sequence[Path]) -> set[Path]:
    """What ldd resolves to files, in its indented lines; the others name the programs themselves."""
    found = set()
    for start in range(0, len(programs), 64):
        group = programs[start : start + 64]
        listing = subprocess.run(["ldd", *group], capture_output=True, text=True, check=False).stdout
        found |= set(re.findall(r"^\t(?:.* => )?(/\S+) \(", listing, re.MULTILINE))
    return {Path(path) for path in found if Path(path).exists()}


def runtime_libraries() -> set[Path]:
    """Those of RUNTIME_LIBRARIES that the dynamic linker knows."""
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = {}
    for name in RUNTIME_LIBRARIES:
        if match := re.search(rf"^\t{re.escape(name)} .* => (\S+)$", known, re.MULTILINE):
            found[name] = Path(match[1])
    return set(found.values())


def copy_libraries(root: Path, libraries: Iterable[Path]) -> None:
    """Copy into the folders that the dynamic linker searches; the linker itself to its own path."""
    search = root / "usr/lib" / (sysconfig.get_config_var("MULTIARCH") or "")
    search.mkdir(parents=True, exist_ok=True)
    for library in libraries:
        in_place = library.name.startswith("ld-linux")
        target = (
            root / "usr" / str(library).removeprefix("/usr").lstrip("/")
            if in_place
            else search / library.name
        )
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(library, target)


def _programs(root: Path) -> list[Path]:
    """Every ELF file below ``root``."""
    return [path for path in root.rglob("*") if path.is_file() and not path.is_symlink() and _is_elf(path)]


def _is_elf(path: Path) -> bool:
    if not (os.access(path, os.X_OK) or ".so" in path.name):
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"
