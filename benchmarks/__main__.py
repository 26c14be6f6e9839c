"""``python -m benchmarks``: run all benchmarks, keep their results, make README.md's tables."""

from __future__ import annotations

import argparse
import importlib
import sys

from . import results

NAMES = sorted(path.stem.removeprefix("bench_") for path in results.HERE.glob("bench_*.py"))


def main() -> int:
    """Run what the command line says; the exit status is 1 when README.md is not current."""
    options = _options()
    if options.check:
        if results.is_readme_current():
            return 0
        print(f"{results.README.name} differs from results/: run python -m benchmarks --tables")
        return 1
    if options.tables:
        results.make_readme()
        return 0
    for name in options.names or NAMES:
        result = importlib.import_module(f"{__package__}.bench_{name}").run(
            0.1 if options.quick else 1
        )
        print(results.markdown(result))
        if not options.quick:
            results.write(result)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these of {NAMES}")
    parser.add_argument("--quick", action="store_true", help="a first look; keeps nothing")
    parser.add_argument("--tables", action="store_true", help="only make README.md's tables anew")
    parser.add_argument("--check", action="store_true", help="only compare README.md with results/")
    options = parser.parse_args()
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())
