"""corpus.py unpack FOLDER | pack FOLDER: the corpus as corpus.txt, an input a line in hex, and as the files that libFuzzer reads."""

import hashlib
import pathlib
import sys

TEXT = pathlib.Path(__file__).parent / "corpus.txt"

action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
if action == "unpack":
    folder.mkdir(parents=True, exist_ok=True)
    for line in TEXT.read_text().split():
        data = bytes.fromhex(line)
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
else:
    lines = sorted(data.hex() for path in folder.iterdir() if (data := path.read_bytes()))
    TEXT.write_text("\n".join(lines) + "\n")
