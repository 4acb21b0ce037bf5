"""Where the device code of cuda/ has a barrier, a bound check or a mask, and how it is left out: mutate_kernels.py."""
import re

from mutants import ROOT

HOST_ONLY = {"launch.h", "runtime.h", "pool.h", "memory.cu", "backend.h", "backend.cu"}
BARRIER = re.compile(r"(?:__syncthreads(?:_\w+)?\(.*?\)|__syncwarp\(.*?\)|__threadfence\w*\(\)|[\w:.]+(?:\(\))?\.sync\(\)"
                     r"|\b(?:cg::|cooperative_groups::)?sync\(\w+\)|__pipeline_(?:wait_prior|commit)\(.*?\));")
COMPARES = re.compile(r" (?:<|<=|>|>=) ")
THREADS = re.compile(r"\b(?:threadIdx\.\w(?: % \w+)?|lane|part|at\.part|group\.thread\(\)) (?:==|!=) ")
CHANCES = re.compile(r"\b(?:drop|dropout|zoneout_[hc]) [<>]|>= s\.drop$|< o\.dropout$")  # options, no bounds
MASKS = re.compile(r"^!?(?:\w+[.])*(?:inside|valid|active|whole|there|in_range|may)(?:_|\(.*\))?$")


class Mutant:
    def __init__(self, file, function, place, text, kind, line):
        self.file, self.function, self.place = file, function, place
        self.text, self.kind, self.line = text, kind, line
        self.number = self.nth = 0  # nth: of those that read alike

    def edit(self, part):
        at_work = f"unroll_mutants::is({self.number})"
        if self.kind == "barrier":
            return f"{{ if (!{at_work}) {part} }}"
        return f"(!{at_work} && ({part}))" if self.kind == "guard" else f"({at_work} || ({part}))"

    def __str__(self):
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.file}: {self.function}: {self.kind}: {self.text}{nth}"


def blanked(source):
    """The source with comments and strings as spaces, in the same places."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def closing(text, begin, pair):
    """The place of the bracket that closes the one at `begin`."""
    depth = 0
    for i in range(begin, len(text)):
        depth += (text[i] == pair[0]) - (text[i] == pair[1])
        if depth == 0:
            return i
    return len(text)


def device_code(text):
    """(name, begin, end) of the bodies of __global__ and __device__ functions that are not constexpr."""
    end = 0
    for mark in re.finditer(r"__global__|__device__|UNROLL_HOST_DEVICE", text):
        if mark.start() < end:
            continue
        brace, stop = text.find("{", mark.end()), text.find(";", mark.end())
        if brace < 0 or 0 <= stop < brace:
            continue
        end, head = closing(text, brace, "{}"), text[mark.end():brace]
        bounds = head.find("__launch_bounds__(")
        if bounds >= 0:
            head = head[closing(head, head.index("(", bounds), "()") + 1:]
        name = re.search(r"(operator\(\)|\w+)\s*\(", head)
        if name and not re.search(r"\bconstexpr\b", text[text.rfind("\n", 0, mark.start()) + 1:brace]):
            yield name.group(1), brace, end


def split(text, begin, end, operator):
    """(begin, end) of what a top-level && or || or ; joins."""
    depth, start = 0, begin
    for i in range(begin, end):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0 and text.startswith(operator, i):
            yield start, i
            start = i + len(operator)
    yield start, end


def conditions(text, begin, end):
    """(begin, end, whether it guards) of the conditions in a function."""
    for m in re.finditer(r"\bif \(", text[begin:end]):
        opened = begin + m.end() - 1
        close = closing(text, opened, "()")
        inner = opened + 1
        named = re.match(r"[^;()]*;\s*", text[inner:close])  # if (init; condition)
        inner += named.end() if named else 0
        guards = re.match(r"\s*\{?\s*(?:return|continue|break)\b", text[close + 1:])
        yield inner, close, bool(guards)
    for m in re.finditer(r"\bfor \(", text[begin:end]):
        opened = begin + m.end() - 1
        pieces = list(split(text, opened + 1, closing(text, opened, "()"), ";"))
        if len(pieces) == 3 and len(list(split(text, *pieces[1], "&&"))) > 1:
            yield *pieces[1], False
    for m in re.finditer(r"\b(?:bool \w+ = |return )([^;?{}]*);", text[begin:end]):
        yield begin + m.start(1), begin + m.end(1), False
    for m in re.finditer(r"(?:= |return |\(|, |: )((?:[^=?:;{}(),]|::)* (?:<|<=|>|>=) (?:[^=?:;{}(),]|::)*) \?", text[begin:end]):
        yield begin + m.start(1), begin + m.end(1), False


def parts(text, begin, end, guards):
    """(begin, end, kind) of what can be left out of a condition."""
    alternatives = list(split(text, begin, end, "||"))
    for alternative in alternatives:
        joined = list(split(text, *alternative, "&&"))
        out = len(joined) == 1 and (guards or len(alternatives) > 1)
        for part in joined:
            yield *part, "guard" if out else "mask"


def mutants_of(path):
    source = path.read_text()
    text, name = blanked(source), str(path.relative_to(ROOT))
    found = {}

    def add(function, begin, end, kind):
        while begin < end and text[begin].isspace():
            begin += 1
        while end > begin and text[end - 1].isspace():
            end -= 1
        shown = re.sub(r"\s+", " ", source[begin:end])
        line = source.count("\n", 0, begin) + 1
        found.setdefault((begin, end), Mutant(name, function, (begin, end), shown, kind, line))

    for function, begin, end in device_code(text):
        for m in BARRIER.finditer(text, begin, end):
            add(function, m.start(), m.end(), "barrier")
        for first, last, guards in conditions(text, begin, end):
            statement = text[max(text.rfind(mark, 0, first) for mark in ";{}") + 1:first]
            evaluated = re.match(r"\s*(?:static |inline )*constexpr", statement)
            if evaluated or len(list(split(text, first, last, ","))) > 1:  # or several variables in one line
                continue
            for at, stop, kind in parts(text, first, last, guards):
                part = text[at:stop].strip()
                if CHANCES.search(part):
                    continue
                if COMPARES.search(part) or THREADS.search(part) or MASKS.match(part):
                    add(function, at, stop, kind)
    return [found[place] for place in sorted(found)]


def every_mutant():
    """Those of cuda/*.cu and cuda/*.h, numbered from 1."""
    found, alike = [], {}
    for path in sorted([*(ROOT / "cuda").glob("*.cu"), *(ROOT / "cuda").glob("*.h")]):
        if path.name not in HOST_ONLY:
            found += mutants_of(path)
    for number, mutant in enumerate(found, 1):
        mutant.number = number
        mutant.nth = alike[name] = alike.get(name := str(mutant), 0) + 1
    return found


def with_mutants(source, mutants):
    for m in sorted(mutants, key=lambda m: (m.place[0], -m.place[1]), reverse=True):
        begin, end = m.place
        source = source[:begin] + m.edit(source[begin:end]) + source[end:]
    at = re.search(r"^#include", source, re.M).start()
    return source[:at] + '#include "cuda/mutant.h"\n' + source[at:]
