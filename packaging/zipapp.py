"""Join a tree and the lines that unpack it into one executable file: zipapp.py <tree> <templates> <file>."""

from __future__ import annotations

import hashlib
import re
import sys
import sysconfig
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)


def main(tree: Path, templates: Path, out: Path) -> None:
    """Write the file. The same tree gives the same bytes."""
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(tree)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    source = (templates.parent / "gitlimmat" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.*)"', source)
    values = {
        "digest": digest.hexdigest()[:16],
        "version": version[1] if version else "",
        "minor": f"{sys.version_info.major}.{sys.version_info.minor}",
        "platform": sysconfig.get_platform(),
    }
    with out.open("wb") as file:
        file.write(_filled(templates / "zipapp.sh.in", values).encode())
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            _add(archive, "__main__.py", _filled(templates / "zipapp_main.py.in", values).encode())
            for path in files:
                _add(archive, f"tree/{path.relative_to(tree)}", path.read_bytes())
    out.chmod(0o755)


def _filled(template: Path, values: dict[str, str]) -> str:
    text = template.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o100644 << 16
    archive.writestr(entry, data)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
