"""The code of docs/guide.md is that of examples/guide, whose programs the tests run.

    guide.py            # fails, naming line and file, where a block differs from its source
    guide.py --write    # copies the sources into the page

A comment before each block names its source: `<!-- FILE: REGION... -->`. In the file a region lies
between lines `// [REGION]` and `// [end]` (# in Python); several are joined by an empty line.
"""

import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "guide.md"
SOURCES = ROOT / "examples" / "guide"
REGION = re.compile(r"^ *(?://|#) \[(\w+)\]\n(.*?)^ *(?://|#) \[end\]\n", re.M | re.S)
BLOCK = re.compile(r"(?:^<!-- (\S+): ([\w ]+) -->\n)?^```(\w+)\n(.*?)^```\n", re.M | re.S)


def read_regions():
    """{(file, region): text} of all programs."""
    found = {}
    for path in sorted(SOURCES.glob("*.cpp")) + sorted(SOURCES.glob("*.py")):
        for name, text in REGION.findall(path.read_text(encoding="utf-8")):
            found[path.name, name] = textwrap.dedent(text).strip("\n") + "\n"
    return found


def source_of(block, regions):
    """What the source of a block says; None where there is none."""
    names = [(block[1], name) for name in (block[2] or "").split()]
    if not names or any(name not in regions for name in names):
        return None
    return "\n".join(regions[name] for name in names)


def complaints(page, regions):
    """One line for each block that is not its source, and for each region without a block."""
    found, unused = [], set(regions)
    for block in BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 1
        unused -= {(block[1], name) for name in (block[2] or "").split()}
        if block[3] not in ("cpp", "python"):
            continue
        text = source_of(block, regions)
        if text is None:
            found.append("docs/guide.md:%d: the block has no source in examples/guide" % line)
        elif text != block[4]:
            found.append("docs/guide.md:%d: differs from %s; scripts/guide.sh copies it"
                         % (line, block[1]))
    return found + ["examples/guide/%s: [%s] is not in docs/guide.md" % u for u in sorted(unused)]


def written(page, regions):
    """The page with the text of each source in its block."""
    def fill(block):
        text = source_of(block, regions)
        return block[0] if text is None else block[0][:block.start(4) - block.start()] + text + "```\n"
    return BLOCK.sub(fill, page)


def self_test(page, regions):
    """A page with a changed, an unnamed or a missing block is refused."""
    last = list(BLOCK.finditer(page))[-1]
    changed = page[:last.end(4) - 1] + " " + page[last.end(4) - 1:]
    unnamed = page.replace("<!-- %s: %s -->\n" % (last[1], last[2]), "")
    missing = page[:last.start()] + page[last.end():]
    for name, broken in (("changed", changed), ("unnamed", unnamed), ("missing", missing)):
        if not complaints(broken, regions):
            raise SystemExit("guide.py: a %s block was not found" % name)


def main():
    regions = read_regions()
    page = PAGE.read_text(encoding="utf-8")
    if sys.argv[1:] == ["--write"]:
        page = written(page, regions)
        PAGE.write_text(page, encoding="utf-8")
    found = complaints(page, regions)
    print("\n".join(found) or "%d blocks are their sources" % len(BLOCK.findall(page)))
    if found:
        raise SystemExit(1)
    self_test(page, regions)


main()
