"""As much of curl as docs/api.md uses, for a machine without it: -s, -i, -I, -X, -H and -o."""

import argparse
import urllib.error
import urllib.request
from pathlib import Path


def curl(words: list[str]) -> str:
    """Return what curl would print."""
    parser = argparse.ArgumentParser()
    for flag in ("-s", "-i", "-I"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("-X", default="GET")
    parser.add_argument("-H", action="append", default=[])
    parser.add_argument("-o")
    parser.add_argument("url")
    asked = parser.parse_args(words)
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in asked.H)}
    try:
        answer = urllib.request.urlopen(urllib.request.Request(asked.url, headers=headers, method=asked.X))
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        body = answer.read().decode()
        head = f"HTTP/1.1 {answer.status} {answer.reason}\n{answer.headers}"
    if asked.o:
        Path(asked.o).write_text(body, encoding="utf-8")
        return ""
    return head if asked.I else f"{head}{body}" if asked.i else body
