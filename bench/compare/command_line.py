"""What compare.py takes. Needs nothing but Python, so scripts/compare.sh checks it before it installs
anything: command_line.py ARGUMENT... ends with 2 where they are wrong."""
import argparse
import math
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILT = os.path.join(os.environ.get("UNROLL_BUILD_DIR") or os.path.join(HERE, "..", "..", "build"), "bench")
SUBJECT = "Times unroll beside its peers: the same work, interleaved, after a check of every result."
OPS = ("lstm", "gru", "rnn")
PASSES = ("forward", "step")
PEERS = ("onednn", "torch", "onnxruntime")


def refused(text, wanted):
    return argparse.ArgumentTypeError(f"'{text}' is not {wanted}")


def count(text):
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise refused(text, "a whole number from 1")
    return int(text)


def counts(text):
    return tuple(count(word) for word in text.split(","))


def size(text):
    if len(counts(text)) != 4:
        raise refused(text, "N,T,I,H, each at least 1")
    return counts(text)


def milliseconds(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (1 <= value < math.inf):
        raise refused(text, "a number of milliseconds from 1")
    return value


def peers(text):
    names = tuple(text.split(",")) if text else ()
    for name in names:
        if name not in PEERS:
            raise refused(name, "one of " + ", ".join(PEERS))
    return names


def parsed(arguments):
    p = argparse.ArgumentParser(prog="compare", description=SUBJECT, allow_abbrev=False)
    p.add_argument("--ours", default=os.path.join(BUILT, "compare_unroll"), metavar="PROGRAM",
                   help="our worker (default: build/bench/compare_unroll)")
    p.add_argument("--also", action="append", default=[], metavar="PROGRAM",
                   help="another build of our worker, shown beside; repeatable")
    p.add_argument("--onednn", action="append", metavar="PROGRAM",
                   help="a worker of oneDNN, repeatable (default: build/bench/compare_onednn*)")
    p.add_argument("--torch", action="append", metavar="PYTHON",
                   help="a Python with PyTorch, repeatable (default: this one)")
    p.add_argument("--onnxruntime", metavar="PYTHON", help="a Python with it (default: this one)")
    p.add_argument("--peers", type=peers, default=PEERS, metavar="LIST",
                   help="kinds to run, of onednn,torch,onnxruntime; empty: none")
    p.add_argument("--op", action="append", choices=[*OPS, "lengths", "attention"],
                   help="repeatable (default: all)")
    p.add_argument("--pass", dest="passes", action="append", choices=PASSES)
    p.add_argument("--size", action="append", type=size, metavar="N,T,I,H",
                   help="repeatable (default: six tuned sizes and five that nobody tuned)")
    p.add_argument("--threads", type=counts, default=(1, 2), metavar="LIST")
    p.add_argument("--rounds", type=count, default=5, help="batches of each contender")
    p.add_argument("--batch", type=milliseconds, default=60, metavar="MS", help="length of a batch")
    p.add_argument("--runs", type=count, default=1,
                   help="repeat all with new processes; the table shows medians, as targets count")
    p.add_argument("--quick", action="store_true", help="a part of the problems, in 3 minutes")
    p.add_argument("--priority", action="store_true",
                   help="contenders go before all other work, which stands still (needs root)")
    p.add_argument("--json", metavar="FILE")
    p.add_argument("--spoil", action="store_true", help=argparse.SUPPRESS)  # our results, by 1 %
    options = p.parse_args(arguments)
    if options.quick:
        options.rounds, options.batch = min(options.rounds, 3), min(options.batch, 30)
    return options


if __name__ == "__main__":
    parsed(sys.argv[1:])
