"""`python -m benchmarks.report.document [result.json]`: draws docs/performance.md from a result.

What stands between `<!-- figures: name -->` and `<!-- end -->` there, and the charts beside it,
come from `docs/results/`. A result that is named is copied there first, one of `benchmarks` as
`bench.json` and one of `benchmarks.load.soak` as `soak.json`; without one, what is there is drawn
anew. `benchmarks.training` writes its own there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.exported import EXPORTED
from benchmarks.load import soak
from benchmarks.load.soak import Soak
from benchmarks.report import plots, report, result, tables, targets
from benchmarks.report.result import BundleResult, Result, ResultError
from benchmarks.report.tables import Table
from benchmarks.training import result as training
from benchmarks.training.result import TrainingResult

DOCS = Path(__file__).parents[2] / "docs"

_SECTION = re.compile(r"(<!-- figures: ([a-z -]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BENCH, _SOAK, _TRAINING = "bench.json", "soak.json", "bench-train.json"


@dataclass(frozen=True, slots=True)
class Sources:
    """What the document is drawn from."""

    bench: Result
    soak: Soak | None
    training: TrainingResult | None = None


def drawn(text: str, sources: Sources) -> str:
    """The document with its sections drawn anew.

    Raises:
        ResultError: a section has a name that nothing is known of.
    """
    sections = _sections(sources)

    def section(match: re.Match[str]) -> str:
        if match[2] not in sections:
            msg = f"no figures are called {match[2]!r}; there are {', '.join(sorted(sections))}"
            raise ResultError(msg)
        return f"{match[1]}\n{sections[match[2]]() or 'Not measured.'}\n\n{match[3]}"

    return _SECTION.sub(section, text)


def charts(sources: Sources) -> Mapping[str, str]:
    """By file name below docs/images/performance/."""
    return plots.draw(sources.bench)


def read_sources(folder: Path) -> Sources:
    """What is in `docs/results/`.

    Raises:
        ResultError: there is no result of the bench.
    """
    soaked, trained = folder / _SOAK, folder / _TRAINING
    return Sources(
        result.read(folder / _BENCH),
        soak.read(soaked) if soaked.exists() else None,
        training.read(trained) if trained.exists() else None,
    )


def markdown(table: Table) -> str:
    """The table, words to the left and figures to the right; "" without rows."""
    if not table.rows:
        return ""
    ruler = ["---" if column < table.texts else "--:" for column in range(len(table.head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (table.head, ruler, *table.rows))


def _sections(sources: Sources) -> dict[str, Callable[[], str]]:
    bench, soaked = sources.bench, sources.soak
    found: dict[str, Callable[[], str]] = {
        "machine": lambda: f"```\n{report.measured_on(bench)}\n```",
        "bars": lambda: _paragraphs(
            markdown(tables.bars(targets.verdicts(bench))), *_without_verdict(bench)
        ),
        "settings": lambda: markdown(_settings(bench)),
        "soak": lambda: soak.summary(soaked) if soaked else "",
    }
    for name, part in training.sections(sources.training).items():
        found[name] = lambda part=part: part if isinstance(part, str) else markdown(part)  # type: ignore[misc]
    # A run that ended early may not have come to the second one.
    for name in dict.fromkeys((*EXPORTED, *bench.bundles)):
        figures = bench.bundles.get(name, BundleResult())
        found |= {
            f"{name} {part}": lambda table=table: markdown(table)  # type: ignore[misc]
            for part, table in {
                "loads": tables.loads(figures.cells),
                "summary": tables.summary(figures.cells),
                "fixed rates": tables.open_loops(figures.open_loops),
                "mixed": tables.mixed(figures.mixed),
                "starts": tables.starts(figures.starts),
                "rest": tables.at_rest(figures.footprints, figures.loaded_pss),
                "decoder": tables.engine(figures.ceilings, "decoder"),
                "encoder": tables.engine(figures.ceilings, "encoder"),
                "png": tables.pngs(figures.codings),
            }.items()
        }
    return found


def _paragraphs(*texts: str) -> str:
    return "\n\n".join(text for text in texts if text)


def _without_verdict(bench: Result) -> Iterator[str]:
    """What is missing among the bars, because there was no answer in time."""
    for name, figures in bench.bundles.items():
        for one in figures.unanswered:
            yield (
                f"Not measured: {one.system}, {name}, {one.workload}, {one.connections} "
                f"connections, gave no answer in {one.seconds:g} s."
            )


def _settings(bench: Result) -> Table:
    rows = [*bench.settings.items(), *report.missing(bench)]
    return Table("Settings", ("system", "settings"), rows, texts=2)


def write(docs: Path) -> list[Path]:
    """Draws performance.md and its charts; the files that are written.

    Raises:
        ResultError: there is no result, or the document asks for figures that nobody knows.
    """
    sources = read_sources(docs / "results")
    page = docs / "performance.md"
    page.write_text(drawn(page.read_text(), sources))
    folder = docs / "images" / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    images = [(folder / name, image) for name, image in charts(sources).items()]
    for path, image in images:
        path.write_text(image)
    return [page, *(path for path, _ in images)]


def keep(path: Path, docs: Path) -> Path:
    """Copies a result to where the document is drawn from.

    Raises:
        ResultError: it is none.
    """
    results = docs / "results"
    results.mkdir(exist_ok=True)
    try:
        kept, content = results / _SOAK, soak.dumps(soak.read(path))
    except ResultError:
        kept, content = results / _BENCH, result.dumps(result.read(path))
    kept.write_bytes(content)
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was written; 1 when there is no result, or it can't be read."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report.document", description=__doc__
    )
    parser.add_argument("results", nargs="*", type=Path, metavar="result.json")
    options = parser.parse_args(arguments)
    try:
        written = [keep(path, DOCS) for path in options.results]
        written += write(DOCS)
    except ResultError as error:
        print(f"document: {error}", file=sys.stderr)
        return 1
    print(*written, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
