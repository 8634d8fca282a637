"""`tunesmith`: serve, demo, watch, report, compare, runs, doctor, host."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tunesmith import __version__
from tunesmith.cli.prune import DESCRIPTION, add_arguments

_PRUNE = "runs prune"
_DECLARE_DEAD = "runs declare-dead"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parsed = _parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    status: int = parsed.command(parsed)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tunesmith", description="Fine-tune a language model by talking to an assistant."
    )
    parser.add_argument("--version", action="version", version=f"tunesmith {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    serve = commands.add_parser("serve", help="speak MCP over stdin and stdout")
    serve.set_defaults(command=_serve)

    demo = commands.add_parser(
        "demo", help="the whole way from data to a judged adapter, through the real server"
    )
    demo.add_argument("--base-model", default="demo", help="Hub id, local folder, or demo")
    demo.add_argument("--source", default="demo", help="local file, Hub dataset id, or demo")
    demo.add_argument("--output", default="demo-output", help="folder for the report and the curves")
    demo.add_argument(
        "--tuning-method", default="lora", choices=["full", "lora", "qlora", "prompt_tuning", "prefix_tuning"]
    )
    demo.add_argument(
        "--prompt", action="append", default=[], help="try this prompt before and after; repeatable"
    )
    demo.set_defaults(command=_demo)

    watch = commands.add_parser("watch", help="a live progress bar of a run")
    watch.add_argument("run", help="run-… handle")
    watch.set_defaults(command=_watch)

    report = commands.add_parser("report", help="a run as one HTML page: curves, scores, samples, plan, data")
    report.add_argument("run", help="run-… handle")
    report.add_argument("--output", metavar="FILE", help="default: RUN.html in the current folder")
    report.set_defaults(command=_report)

    compare = commands.add_parser(
        "compare", help="vote on two models' answers, blind, on a page in the browser"
    )
    compare.add_argument("comparison", help="cmp-… handle from compare_models")
    compare.add_argument("--no-browser", action="store_true", help="only print the page's address")
    compare.set_defaults(command=_compare)

    runs = commands.add_parser("runs", help="the runs of this store")
    runs.add_argument("query", nargs="*", help="words to find")
    runs.add_argument("--disk", action="store_true", help="what each of them takes, the largest first")
    runs.set_defaults(command=_runs)

    prune = commands.add_parser(
        _PRUNE,
        help="remove what the store no longer needs (shows it first)",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(prune)
    prune.set_defaults(command=_prune)

    dead = commands.add_parser(
        _DECLARE_DEAD, help="say that a run's process is gone, where that cannot be known from here"
    )
    dead.add_argument("run", help="run-… handle")
    dead.set_defaults(command=_declare_dead)

    doctor = commands.add_parser("doctor", help="what this machine can train, and what is missing")
    doctor.set_defaults(command=_doctor)

    host = commands.add_parser("host", help="the background host of a store (started by the server)")
    host.set_defaults(command=_host)
    return parser


def _joined(arguments: Sequence[str]) -> list[str]:
    """`runs` takes words to find, beside which argparse allows no commands: `runs prune` is one of two words."""
    words = list(arguments)
    first = " ".join(words[:2])
    return [first, *words[2:]] if first in (_PRUNE, _DECLARE_DEAD) else words


def _serve(_parsed: argparse.Namespace) -> int:
    from tunesmith.jobs.paths import Store
    from tunesmith.server.app import create_server
    from tunesmith.server.stdio import serve_stdio

    serve_stdio(create_server(Store.default()))
    return 0


def _demo(parsed: argparse.Namespace) -> int:
    from tunesmith.cli.demo import run_demo

    return run_demo(parsed.base_model, parsed.source, parsed.tuning_method, parsed.output, parsed.prompt)


def _watch(parsed: argparse.Namespace) -> int:
    from tunesmith.cli.watch import watch

    return watch(parsed.run)


def _report(parsed: argparse.Namespace) -> int:
    from tunesmith.cli.report import write_report

    return write_report(parsed.run, parsed.output)


def _compare(parsed: argparse.Namespace) -> int:
    from tunesmith.cli.compare import compare

    return compare(parsed.comparison, browser=not parsed.no_browser)


def _runs(parsed: argparse.Namespace) -> int:
    if parsed.disk:
        from tunesmith.cli.prune import print_disk

        return print_disk(" ".join(parsed.query))
    from tunesmith.cli.runs import print_runs

    return print_runs(" ".join(parsed.query))


def _prune(parsed: argparse.Namespace) -> int:
    from tunesmith.cli.prune import prune

    return prune(parsed)


def _declare_dead(parsed: argparse.Namespace) -> int:
    from tunesmith.cli.declare_dead import declare_dead

    return declare_dead(parsed.run)


def _doctor(_parsed: argparse.Namespace) -> int:
    from tunesmith.cli.doctor import print_diagnosis

    return print_diagnosis()


def _host(_parsed: argparse.Namespace) -> int:
    from tunesmith.cli.host import serve_host

    return serve_host()


if __name__ == "__main__":
    sys.exit(main())
