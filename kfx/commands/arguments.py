"""The command lines of ``kfx get``, ``describe`` and ``explain``, in kubectl's syntax."""

import argparse
from collections.abc import Sequence

KINDS = ("experiments", "trials", "suggestions")
_ALIASES = {alias: kind for kind in KINDS for alias in (kind, kind[:-1], f"{kind}.kubeflow.org")}
GET_FORMATS = ("table", "wide", "json", "yaml", "name")
TEXT_FORMATS = ("text", "json")

ABOUT = {
    "get": "list Experiments, Trials or Suggestions, or show some of them",
    "describe": "show one Experiment, Trial or Suggestion on one screen",
    "explain": "say why an Experiment does not progress, and what to do about it",
}
_MORE = {
    "get": "KIND: experiments, trials, suggestions, or several with commas. "
    "Exit status: 0; 1 if something is not there or cannot be read; 2 for a wrong command line.",
    "describe": "Exit status: 0; 1 if it is not there or cannot be read; 2 for a wrong command line.",
    "explain": "Follows the chain from the API server to the metrics and stops at the first broken link. "
    "Exit status: 0 if nothing is wrong or the Experiment is complete; 1 for a broken link; 2 for a wrong "
    "command line.",
}


def parse(command: str, words: Sequence[str]) -> argparse.Namespace:
    """The arguments of ``kfx COMMAND``. Raises SystemExit: 0 after ``-h``, 2 for a wrong command line."""
    parser = argparse.ArgumentParser(
        prog=f"kfx {command}", description=ABOUT[command], epilog=_MORE[command], allow_abbrev=False
    )
    {"get": _add_get, "describe": _add_describe, "explain": _add_explain}[command](parser)
    parser.add_argument("-n", "--namespace", metavar="NS", default="", help="else the context's, or default")
    parser.add_argument(
        "--kubeconfig", metavar="FILE", default="", help="else $KUBECONFIG, or ~/.kube/config"
    )
    given = parser.parse_args(words)
    if command == "get":
        _check_get(parser, given)
    return given


def _add_get(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kinds", metavar="KIND", nargs="?", type=_kinds, default=("experiments",))
    parser.add_argument("names", metavar="NAME", nargs="*", help="else all")
    parser.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument("-l", "--selector", metavar="LABELS", default="", help="those with these labels")
    parser.add_argument(
        "-e", "--experiment", metavar="NAME", default="", help="trials of one Experiment, the best first"
    )
    parser.add_argument(
        "-o", "--output", choices=GET_FORMATS, default="table", help="table (default), wide, json, yaml, name"
    )
    parser.add_argument("-w", "--watch", action="store_true", help="then show each change, until Ctrl-C")


def _add_describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", type=_kind, help="experiment, trial or suggestion")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("-o", "--output", choices=TEXT_FORMATS, default="text", help="text (default) or json")


def _add_explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="EXPERIMENT")
    parser.add_argument("-o", "--output", choices=TEXT_FORMATS, default="text", help="text (default) or json")
    parser.add_argument(
        "--core-namespace",
        metavar="NS",
        default="",
        help="where kfx runs: else $KATIB_CORE_NAMESPACE, kubeflow",
    )


def _kind(text: str) -> str:
    if text.lower() not in _ALIASES:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(KINDS)}")
    return _ALIASES[text.lower()]


def _kinds(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_kind(part) for part in text.split(",")))


def _check_get(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """What fits together; as kubectl, where kubectl has an opinion."""
    if given.names and given.all_namespaces:
        parser.error("a NAME is in one namespace: leave out -A")
    if given.names and (given.selector or given.experiment):
        parser.error("a NAME selects already: leave out -l and -e")
    if given.experiment and given.kinds != ("trials",):
        parser.error("-e is for trials: kfx get trials -e NAME")
    if given.watch and (len(given.kinds) > 1 or len(given.names) > 1):
        parser.error("-w follows one kind, and one NAME at most")
    if given.watch and given.output in {"json", "yaml"}:
        parser.error("-w shows rows: leave out -o json and -o yaml")
