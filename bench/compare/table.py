"""What the measurements say: rows, a table in markdown, a summary."""
import math
import statistics

from problems import LEAST, LENGTHS_BOUND, UNTUNED


def row_of(problem, threads, peak, figures):
    """figures: {name: {"ms", "error", "disturbed", "counts"}}, ours first."""
    (_, ours), *others = figures.items()
    peers = dict(others)
    row = {"op": problem.name, "pass": problem.pass_, "size": list(problem.size), "threads": threads,
           "ms": ours["ms"], "best_peer": None, "best_peer_ms": None, "ratio_best_peer": None,
           "percent_of_peak": 100 * problem.flops() / (1e6 * ours["ms"] * peak),
           "error": ours["error"], "target": problem.target(threads), "met": None,
           "disturbed": max(one["disturbed"] for one in figures.values()), "peers": peers}
    if problem.lengths:
        row["share_of_steps"] = problem.share()
        row["full_ms"] = peers["full batch"]["ms"]
    bars = {name: peer["ms"] for name, peer in peers.items() if peer["counts"]}
    if bars:
        row["best_peer"] = min(bars, key=bars.get)
        row["best_peer_ms"] = bars[row["best_peer"]]
        row["ratio_best_peer"] = row["best_peer_ms"] / row["ms"]
    return judged(row)


def judged(row):
    """Says whether the row's bar is met."""
    ratio = row["ratio_best_peer"]
    if "full_ms" in row:
        row["cost_over_share"] = row["ms"] / row["full_ms"] / row["share_of_steps"]
        row["met"] = row["cost_over_share"] <= LENGTHS_BOUND
    elif ratio is not None and row["target"]:
        row["met"] = ratio >= LEAST * row["target"]
    elif ratio is not None and tuple(row["size"]) in UNTUNED:
        row["met"] = ratio >= LEAST
    return row


def median_row(rows):
    """The row of several runs: medians, and what the bars say of them."""
    row = dict(rows[0])
    for key in ("ms", "best_peer_ms", "ratio_best_peer", "percent_of_peak", "disturbed", "full_ms"):
        if row.get(key) is not None:
            row[key] = statistics.median(r[key] for r in rows)
    row["error"] = max(r["error"] for r in rows)
    row["peers"] = {name: {**peer, "ms": statistics.median(r["peers"][name]["ms"] for r in rows)}
                    for name, peer in row["peers"].items() if all(name in r["peers"] for r in rows)}
    row["ratios"] = [r["ratio_best_peer"] for r in rows]
    return judged(row)


def number(value, digits=3):
    """At least that many digits, never in powers of ten."""
    if value is None:
        return "-"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(places, 6)}f}"


def verdict(row):
    if row["met"] is None:
        return "-"
    bar = f"{LENGTHS_BOUND} x share" if "full_ms" in row else str(row["target"] or LEAST)
    return f"{bar} {'met' if row['met'] else 'MISSED'}"


HEADER = ["op", "pass", "N,T,I,H", "threads", "ms", "% of peak", "best peer", "its ms", "ratio",
          "target", "error", "disturbed", "all peers, ms"]


def cells(row):
    peers = ", ".join(f"{name} {number(peer['ms'])}" for name, peer in row["peers"].items())
    if "full_ms" in row:
        peers += f"; time over share of steps {number(row['cost_over_share'])}"
    return [row["op"], row["pass"], ",".join(map(str, row["size"])), str(row["threads"]),
            number(row["ms"]), f"{row['percent_of_peak']:.0f}", row["best_peer"] or "-",
            number(row["best_peer_ms"]), number(row["ratio_best_peer"]), verdict(row),
            f"{row['error']:.1e}", f"{100 * row['disturbed']:.0f} %", peers]


def line(words):
    return "| " + " | ".join(words) + " |"


def head():
    return line(HEADER) + "\n" + line(["---"] * len(HEADER))


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def summary(rows):
    """Sentences on the bars, for people and for the file."""
    judged_rows = [row for row in rows if row["met"] is not None]
    untuned = [row["ratio_best_peer"] for row in rows
               if tuple(row["size"]) in UNTUNED and row["ratio_best_peer"]]
    said = {"bars": len(judged_rows), "bars_met": sum(row["met"] for row in judged_rows)}
    if untuned:
        said["untuned_least"] = min(untuned)
        said["untuned_geometric_mean"] = geometric_mean(untuned)
    return said
