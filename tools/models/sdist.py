"""Downloads one file of a package from pip's index by its SHA-256, without building anything: sdist.py NAME SHA256 DIR

`pip download` of a source archive runs the package's build to learn its metadata (minutes for a large C++ project); here only
files inside the archive are wanted."""
import hashlib
import html
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path


def index_url() -> str:
    """The index that pip is set up to use, else pip's own default."""
    for key in ("install.index-url", "download.index-url", "global.index-url", ":env:.index-url"):
        r = subprocess.run([sys.executable, "-m", "pip", "config", "get", key], capture_output=True, text=True)
        if r.returncode == 0 and r.stdout.strip():
            return r.stdout.strip()
    from pip._internal.models.index import PyPI

    return PyPI.simple_url


def main() -> int:
    name, digest, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    page_url = index_url().rstrip("/") + f"/{name}/"
    with urllib.request.urlopen(page_url, timeout=60) as r:
        page = r.read().decode()
    links = [html.unescape(h) for h in re.findall(r'href="([^"]+)"', page)]
    wanted = [urllib.parse.urljoin(page_url, h) for h in links if f"sha256={digest}" in h]
    if not wanted:
        print(f"{name}: no file with SHA-256 {digest} in the index", file=sys.stderr)
        return 1
    url = wanted[0].split("#")[0]
    target = folder / urllib.parse.unquote(url.rsplit("/", 1)[1])
    seen = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=60) as r, open(target, "wb") as out:
        while block := r.read(1 << 20):
            seen.update(block)
            out.write(block)
    if seen.hexdigest() != digest:
        target.unlink()
        print(f"{name}: the download is damaged", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
