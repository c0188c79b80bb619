"""Tables and pictures from the JSON of the other commands.

``docs/benchmarks/NAME.json`` becomes ``NAME.md`` and, where there is something to see, ``NAME.svg`` beside it; and
what stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` in ``docs/performance.md`` is written anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from . import pictures
from .cases import CASES
from .kernels.command import by_kind, comparisons
from .losses import LARGE, LIBRARIES, cells, ratios, text_of
from .peers import PEERS
from .results import duration, geometric_mean, say, significant
from .sweep import CLIFF, series
from .train import COMPARED, MEANINGFUL, by_case, in_words, means

Run = dict[str, Any]
Rows = list[dict[str, Any]]
LABELS = {
    "fastnn": "fastnn",
    "numpy": "NumPy",
    "torch": "PyTorch",
    "torch_compile": "PyTorch, compiled step",
    "torch fused": "PyTorch, fused",
    "torch foreach": "PyTorch, foreach",
    "jax": "JAX",
    "jax_scan": "JAX, scan",
    "sklearn": "scikit-learn",
    "keras": "Keras on JAX",
    "fann": "FANN",
    "onnxruntime": "ONNX Runtime",
}


def run(docs: str) -> None:
    """The command; its arguments are those of the command line."""
    folder = Path(docs) / "benchmarks"
    page = Path(docs) / "performance.md"
    parts: dict[str, str] = {}
    for name, (short, full, picture) in PARTS.items():
        path = folder / f"{name}.json"
        if not path.exists():
            say(f"{path} is not there: python -m benchmarks {name} --json {path}")
            continue
        document = json.loads(path.read_text(encoding="utf-8"))
        heading = f"# `{command(document)}`\n\n{conditions(document)}\n\n"
        image = f"![{name}]({name}.svg)\n\n" if picture(document, folder / f"{name}.svg") else ""
        (folder / f"{name}.md").write_text(f"{heading}{image}{full(document)}\n", encoding="utf-8")
        parts[name] = short(document) + (f"\n\n![{name}](benchmarks/{name}.svg)" if image else "")
        parts[name] += f"\n\n{conditions(document)} [All of it](benchmarks/{name}.md)."
    if page.exists():
        page.write_text(filled(page.read_text(encoding="utf-8"), parts), encoding="utf-8")


def filled(text: str, parts: dict[str, str]) -> str:
    """The page, with the parts between their marks.

    Raises
    ------
    ValueError
        Where the page has no such marks.
    """
    for name, part in parts.items():
        text, count = re.subn(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise ValueError(f"the page has {count} places for {name}, expected <!-- {name} --> and <!-- /{name} -->")
    return text


def command(document: Run) -> str:
    only = document["options"].get("only")
    return " ".join(["python -m benchmarks", document["command"], *(["--only", *only] if only else [])])


def conditions(document: Run) -> str:
    machine, versions = document["machine"], document["versions"]
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"Measured on {document['date']}: {machine['processor']}, {machine['processors']} processors, "
        f"{machine['system']}, instruction set {machine['instruction set']}, {machine['compiler']}; {packages}."
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def label(peer: str) -> str:
    return LABELS.get(peer, peer)


# ---- train -----------------------------------------------------------------------------------------------------------


def by_threads(rows: Rows) -> dict[int, Rows]:
    found: dict[int, Rows] = {}
    for row in rows:
        found.setdefault(row["threads"], []).append(row)
    return found


def train_short(document: Run) -> str:
    parts = [summary_table(document["results"])]
    for threads, rows in by_threads(document["results"]).items():
        parts += [f"**{in_words(threads)}**, a step:", pivot(rows)]
    parts += [scaling(document["results"]), slower(document["results"]), limits(document["results"])]
    return "\n\n".join(filter(None, parts))


def summary_table(rows: Rows) -> str:
    """How many times faster, and the share of the limit."""
    lines = []
    for threads, own in by_threads(rows).items():
        found = means(own)
        cells = [f"{found[name][0]:.2f}×" if name in found else "–" for name in ("the fastest peer", *COMPARED)]
        shares = [row["flop_share"] for row in own if row["peer"] == "fastnn"]
        lines.append([in_words(threads), *cells, f"{max(shares):.0%}" if shares else "–"])
    head = ["geometric mean over the cases", "fastest peer of each", *map(label, COMPARED), "best share of flop limit"]
    return table(head, lines)


def pivot(rows: Rows) -> str:
    """Cases down, peers across; the fastest is bold."""
    cases = by_case(rows)
    peers = [peer for peer in PEERS if any(peer in found for found in cases.values())]
    lines = []
    for name, found in cases.items():
        best = min(row["median"] for row in found.values())
        cells = []
        for peer in peers:
            text = duration(found[peer]["median"]) if peer in found else "–"
            cells.append(f"**{text}**" if peer in found and found[peer]["median"] == best else text)
        others = [row["median"] for peer, row in found.items() if peer != "fastnn"]
        own = found.get("fastnn")
        ratio = f"{min(others) / own['median']:.2f}×" if own and others else "–"
        share = f"{own['share']:.0%}" if own and own["limit"] > MEANINGFUL else "–"
        lines.append([f"{name}: {CASES[name].describe()}", *cells, ratio, share])
    return table(
        ["case: layers, batch, loss, optimizer", *map(label, peers), "fastest peer / fastnn", "of limit"], lines
    )


def scaling(rows: Rows) -> str:
    """fastnn's own gain from more threads."""
    own = {
        threads: by_case([row for row in found if row["peer"] == "fastnn"])
        for threads, found in by_threads(rows).items()
    }
    counts = [threads for threads in own if threads != 1]
    if 1 not in own or not counts:
        return ""
    lines = []
    for name, found in own[1].items():
        one = found["fastnn"]
        cells = [f"{one['median'] / own[n][name]['fastnn']['median']:.2f}×" if name in own[n] else "–" for n in counts]
        lines.append([name, significant(one["flops"] / 1e6), *cells])
    return "fastnn against itself with one thread:\n\n" + table(["case", "MFLOP a step", *map(in_words, counts)], lines)


def slower(rows: Rows) -> str:
    """Where a peer is the better choice."""
    lines = []
    for threads, found in by_threads(rows).items():
        for name, peers in by_case(found).items():
            own = peers.get("fastnn")
            faster = [label(peer) for peer, row in peers.items() if own and row["median"] < own["median"]]
            if faster:
                lines.append(f"- {name}, {in_words(threads)}: {', '.join(faster)}")
    return (
        "\n".join(["Faster than fastnn:", "", *lines])
        if lines
        else "No peer is faster than fastnn in any of these cases."
    )


def limits(rows: Rows) -> str:
    """What a step of fastnn cannot be faster than, with one thread or the fewest measured."""
    threads = min(by_threads(rows), key=lambda n: (n == 0, n))
    lines = []
    for name, found in by_case(by_threads(rows)[threads]).items():
        if "fastnn" in found:
            row, case = found["fastnn"], CASES[name]
            cores = threads or row.get("cores", 1)
            by_flops = case.flops / (cores * row["peak"])
            by_bytes = case.update_bytes / (cores * row["bandwidth"])
            what = "multiply-adds" if by_flops > by_bytes else "reading and writing parameters"
            if row["share"] < 0.4:
                what = "neither: latency, calls, and what is not a product"
            times = [f"{1e6 * seconds:.2f} µs" for seconds in (by_flops, by_bytes)]
            lines.append([name, *times, duration(row["median"]), what])
    head = ["case", "multiply-adds alone", "parameters and moments alone", "fastnn", "nearest limit"]
    return f"What limits a step, {in_words(threads)}:\n\n" + table(head, lines)


def train_full(document: Run) -> str:
    parts = [summary_table(document["results"])]
    for threads, rows in by_threads(document["results"]).items():
        lines = [
            [
                row["case"],
                label(row["peer"]),
                duration(row["median"]),
                f"{duration(row['quartile_1'])} … {duration(row['quartile_3'])}",
                f"{row['flops'] / row['median'] / 1e9:.1f}",
                f"{row['flop_share']:.1%}",
                f"{row['share']:.1%}",
                f"{row['slices']}",
                f"{row['quiet']:.0%}",
                f"{row['peak'] / 1e9:.0f}",
                f"{row['bandwidth'] / 1e9:.0f}",
            ]
            for row in rows
        ]
        head = ["case", "peer", "a step", "quartiles", "GFLOP/s", "of flop limit", "of limit", "slices", "quiet"]
        head += ["peak GFLOP/s of a core", "copy GB/s of a core"]
        parts += [f"## {in_words(threads).capitalize()}", table(head, lines)]
    lines = [[f"`{name}`", peer.about] for name, peer in PEERS.items()]
    parts += ["## Peers", table(["peer", "how it trains"], lines).replace("--:", "---")]
    if document["left_out"]:
        found = [
            f"- {row['case']}, {in_words(row['threads'])}, {row['peer']}: {row['reason']}"
            for row in document["left_out"]
        ]
        parts += ["## Left out", "\n".join(found)]
    return "\n\n".join(parts)


# ---- sweep -----------------------------------------------------------------------------------------------------------


def sweep_short(document: Run) -> str:
    lines = series(document["results"])
    text = []
    for (peer, threads), own in lines.items():
        other = lines.get(("torch", threads))
        if peer != "fastnn" or other is None:
            continue
        torch = {row["width"]: row["median"] for row in other}
        ratios = {row["width"]: torch[row["width"]] / row["median"] for row in own if row["width"] in torch}
        behind = ", ".join(str(width) for width, ratio in ratios.items() if ratio < 1)
        span = f"{max(ratios.values()):.1f} to {min(ratios.values()):.1f}"
        where = f"at the widths {behind}" if behind else "at no width"
        text.append(f"- {in_words(threads)}: PyTorch takes {span} times as long; it is faster {where}.")
    cliffs = [f"- {one}" for one in document["cliffs"]] or [
        f"- No width takes {CLIFF} times as long as the next larger one."
    ]
    return "\n".join([*text, *cliffs])


def sweep_full(document: Run) -> str:
    lines = series(document["results"])
    widths = sorted({row["width"] for row in document["results"]})
    cells = {key: {row["width"]: row for row in rows} for key, rows in lines.items()}
    body = [
        [
            str(width),
            *(
                f"{duration(rows[width]['median'])} ({rows[width]['flops'] / rows[width]['median'] / 1e9:.0f} GFLOP/s)"
                for rows in cells.values()
            ),
        ]
        for width in widths
    ]
    return sweep_short(document) + "\n\n" + table(["width", *(f"{label(p)}, {in_words(n)}" for p, n in lines)], body)


# ---- kernels ---------------------------------------------------------------------------------------------------------


def kernels_short(document: Run) -> str:
    lines = [
        [f"{kind}, {in_words(n)}", f"{geometric_mean(r):.2f}×", f"{min(r):.2f}×", f"{max(r):.2f}×"]
        for (kind, n), r in by_kind(comparisons(document["results"])).items()
    ]
    return table(["fastest peer / fastnn", "geometric mean", "lowest", "highest"], lines)


def kernels_full(document: Run) -> str:
    return "\n\n".join([kernels_short(document), *kernel_tables(document, every_peer=True)])


def optimizers_short(document: Run) -> str:
    return "\n\n".join(kernel_tables(document, every_peer=False))


def kernel_tables(document: Run, every_peer: bool) -> list[str]:
    """For each kind and number of threads; of the peers all, or the fastest in each line."""
    parts = []
    found = comparisons(document["results"])
    for kind, n in by_kind(found):
        own = [one for one in found if (one.kind, one.threads) == (kind, n)]
        peers = list(dict.fromkeys(peer for one in own for peer in one.spent))
        shares = any(one.share for one in own)
        lines = []
        for one in own:
            cells = [duration(one.spent[peer]) if peer in one.spent else "–" for peer in peers]
            if not every_peer and one.fastest:
                cells = [duration(one.spent["fastnn"]), f"{label(one.fastest)} {duration(one.spent[one.fastest])}"]
            cells.append(f"{one.ratio:.2f}×" if one.ratio else "–")
            cells += [f"{one.share:.0%}" if one.share else "–"] if shares else []
            lines.append([one.kernel, *cells])
        head = ["kernel", *(map(label, peers) if every_peer else ["fastnn", "fastest peer"]), "fastest peer / fastnn"]
        head += ["of a copy's bandwidth"] if shares else []
        parts.append(f"**{kind.capitalize()}, {in_words(n)}**\n\n{table(head, lines)}")
    return parts


# ---- losses ----------------------------------------------------------------------------------------------------------


def losses_short(document: Run) -> str:
    rows = document["results"]
    lines = []
    for peer in (None, *(name for name in LIBRARIES if name != "fastnn")):
        if found := ratios(rows, peer):
            cells_of = [geometric_mean(found.values()), min(found.values()), max(found.values())]
            name = "the fastest of them" if peer is None else label(peer)
            lines.append([name, *(f"{value:.2f}×" for value in cells_of)])
    ahead = [f"{name}, {text_of(size)} ({ratio:.2f}×)" for (name, size), ratio in ratios(rows).items() if ratio < 1]
    text = f"One of them is faster: {'; '.join(ahead)}." if ahead else "fastnn is the fastest in every cell."
    return table(["their time / fastnn's", "geometric mean", "lowest", "highest"], lines) + f"\n\n{text}"


def losses_full(document: Run) -> str:
    rows = document["results"]
    best = ratios(rows)
    peers = [peer for peer in LIBRARIES if any(row["peer"] == peer for row in rows)]
    lines = []
    for (name, size), found in cells(rows).items():
        least = min(row["median"] for row in found.values())
        times = []
        for peer in peers:
            text = duration(found[peer]["median"]) if peer in found else "–"
            times.append(f"**{text}**" if peer in found and found[peer]["median"] == least else text)
        ratio = f"{best[name, size]:.2f}×" if (name, size) in best else "–"
        share = f"{found['fastnn']['share']:.0%}" if size[0] * size[1] > LARGE else "–"
        lines.append([f"{name}, {text_of(size)}", *times, ratio, share])
    head = ["value and gradient, elements", *map(label, peers), "fastest peer / fastnn", "fastnn, of copy bandwidth"]
    note = (
        "One thread, float32. Copy bandwidth is that of a copy which moves as many bytes as targets, predictions and "
        "gradient have, measured between the losses."
    )
    return "\n\n".join([losses_short(document), note, table(head, lines)])


# ---- use -------------------------------------------------------------------------------------------------------------


def use_short(document: Run) -> str:
    parts = []
    if rows := document.get("inference"):
        keys = list(dict.fromkeys((row["network"], row["threads"], row["rows"]) for row in rows))
        ways = list(dict.fromkeys(row["way"] for row in rows))
        spent = {(row["network"], row["threads"], row["rows"], row["way"]): row["median"] for row in rows}
        body = [[way, *(duration(spent[*key, way]) if (*key, way) in spent else "–" for key in keys)] for way in ways]
        heads = [f"{network}, {count:,} row{'s' * (count > 1)}, {in_words(n)}" for network, n, count in keys]
        parts.append("A call:\n\n" + table(["", *heads], body))
    cells: dict[str, dict[str, str]] = {}
    for row in document.get("imports", []):
        cells.setdefault(row["peer"], {})["import, beyond NumPy's"] = f"{1e3 * row['beyond_numpy']:.0f} ms"
    for row in document.get("first", []):
        cells.setdefault(row["peer"], {})["first trained model"] = duration(row["median"])
    for row in document.get("sizes", []):
        cells.setdefault(row["peer"], {})["installed beside NumPy"] = f"{row['bytes'] / 1e6:.1f} MB"
        cells[row["peer"]]["packages"] = str(row["packages"])
        if "wheel" in row:
            parts.append(f"fastnn's wheel has {row['wheel'] / 1e6:.2f} MB.")
    heads = list(dict.fromkeys(head for found in cells.values() for head in found))
    if cells:
        body = [[label(peer), *(found.get(head, "–") for head in heads)] for peer, found in cells.items()]
        parts.append("Processes started anew, and what pip installs:\n\n" + table(["", *heads], body))
    return "\n\n".join(parts)


PARTS: dict[str, Any] = {
    "train": (train_short, train_full, pictures.train),
    "sweep": (sweep_short, sweep_full, pictures.sweep),
    "kernels": (kernels_short, kernels_full, pictures.kernels),
    "optimizers": (optimizers_short, kernels_full, lambda *_: False),
    "losses": (losses_short, losses_full, lambda *_: False),
    "use": (use_short, use_short, lambda *_: False),
}
