"""`ds2 replay`: judge voting policies on recorded samples, without a model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from optimizers.recorded import Recording
    from optimizers.replay import Judged
    from programs.calibration import Fit
    from programs.stopping import Policy
    from signatures.recorded import RecordedQuestion
    from signatures.records import Vote
    from signatures.task import AnswerFormat


class ReplayFormat(StrEnum):
    """The answer formats whose recorded answers can be compared."""

    NUMBER = "number"
    EXPRESSION = "expression"
    CHOICE = "choice"
    LABEL = "label"
    TEXT = "text"


def replay_command(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE|RUN", help="Recorded samples (.jsonl, .jsonl.gz), or a run."),
    ],
    answer_format: Annotated[
        ReplayFormat | None, typer.Option("--format", help="Answer format; a run knows its own.")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help='Such as "lead(3, 9)"; may be repeated.'),
    ] = None,
    fit: Annotated[
        Path | None, typer.Option(metavar="TRAIN", help="Fit a calibrated policy to this file.")
    ] = None,
    target_precision: Annotated[
        str | None,
        typer.Option(help='For --fit: a share, or a policy to be as precise as: "fixed(10, 0.5)".'),
    ] = None,
    max_draws: Annotated[int, typer.Option("--max", help="For --fit: most answers to draw.")] = 10,
    min_yield: Annotated[
        float | None,
        typer.Option(
            help="For --fit: least share accepted; 0.95 of the fixed vote's if not given."
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="OUT.json", help="For --fit: where to save the policy.")
    ] = None,
    models: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="Only samples of these models (* and ?).")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(metavar="PATTERN", help="No samples of these models.")
    ] = None,
    options: Annotated[
        int | None, typer.Option(help="For choice: options a question has, where lines name none.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="For label: the closed set, such as yes,no,maybe.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Random orders of each question's samples.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the orders.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw precision against cost.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge voting policies on recorded samples: yield, precision, cost.

    Example: ds2 replay runs/medqa-1000 --policy "lead(3, 9)" --policy "fixed(5, 0.6)"
    """
    from ds2.cli.replay_views import as_document, show
    from optimizers.replay import judge
    from programs.stopping import parse_policy

    policies = [parse_policy(text) for text in policy or []]
    reader = RecordingReader(answer_format, models, exclude, options, labels)
    fitted = train = None
    if fit is not None:
        train = reader.read(fit)
        fitted = _fit(train, target_precision, max_draws, min_yield, seed)
        policies.append(fitted.policy if save is None else fitted.policy.save(save))
    elif save is not None or target_precision is not None:
        _refuse("--fit", "be given with --save and --target-precision", None, "Name the votes.")
    if not policies:
        _refuse("--policy", "be given at least once", None, 'Write --policy "lead(3, 9)".')
    recording = reader.read(source)
    judged = judge(recording, policies, repeats=repeats, seed=seed)
    if plot is not None:
        _plot(plot, judged)
    document = as_document(recording, judged, repeats, seed, fitted, train)
    show(document, as_json=as_json)


class RecordingReader:
    """Reads the recorded votes of a file or a run, as the options say.

    Args:
        answer_format, models, exclude, options, labels: the options of the same name.
        task: whose answers a file holds; its format counts where no other one is given.
    """

    def __init__(
        self,
        answer_format: ReplayFormat | None,
        models: str | None,
        exclude: str | None,
        options: int | None,
        labels: str | None,
        task: str | None = None,
    ) -> None:
        self._format, self._task = answer_format, task
        self._models, self._exclude = models, exclude
        self._options, self._labels = options, labels

    def read(self, path: Path) -> Recording:
        from optimizers.recorded import read_recording, recording_of_votes
        from signatures.recorded import read_questions

        if path.is_dir():
            return recording_of_votes(_votes(path), source=str(path))
        questions = read_questions(path, models=self._models, exclude=self._exclude)
        return read_recording(questions, self._answer_format(questions), source=str(path))

    def _answer_format(self, questions: Sequence[RecordedQuestion]) -> AnswerFormat:
        from pydantic import ValidationError

        from signatures.task import AnswerFormat, AnswerKind, load_task

        if self._format is None and self._task is not None:
            return load_task(self._task).answer
        if self._format is None:
            names = ", ".join(ReplayFormat)
            _refuse("--format", f"be one of {names} for a file", None, "Add --format number.")
        sizes: tuple[int, ...] = ()
        if self._format is ReplayFormat.CHOICE:
            known = {len(found.options) for found in questions}
            if 0 in known and self._options is None:
                _refuse("--options", "be given, for a line names none", None, "Add --options 4.")
            sizes = tuple(sorted((known - {0}) | ({self._options} if self._options else set())))
        labels = tuple(part.strip() for part in (self._labels or "").split(",") if part.strip())
        if (self._format is ReplayFormat.LABEL) != bool(labels):
            _refuse("--labels", "be given for label, and only for it", self._labels, "Mend it.")
        try:
            return AnswerFormat(kind=AnswerKind(self._format.value), options=sizes, labels=labels)
        except ValidationError as error:
            first = error.errors()[0]
            _refuse("--format", f"fit: {first['msg']}", first["input"], "Mend that option.")


def _votes(folder: Path) -> Iterator[tuple[str, Vote]]:
    from ds2.runtime.decisions import decisions
    from ds2.store import STORE_NAME, RunStore

    if not (folder / STORE_NAME).is_file():
        _refuse(
            "the folder",
            f"be a run, with its {STORE_NAME}",
            str(folder),
            "Name a run, such as runs/gsm8k-60, or a file of recorded samples.",
        )
    with RunStore(folder, lock=False) as store:
        for _, found in decisions(store.units(), folder):
            if found is not None and found.vote is not None and found.instruction is not None:
                yield found.instruction.text, found.vote


def _fit(
    train: Recording, target: str | None, max_draws: int, min_yield: float | None, seed: int
) -> Fit:
    from programs.calibration import fit_policy

    if not train.labelled:
        _refuse("--fit", "name recorded samples with right answers", train.source, "Name a file.")
    wanted = _target(target)
    return fit_policy(
        train.ballots, wanted, max_draws, min_yield=min_yield, seed=seed, source=train.source
    )


def _target(text: str | None) -> float | Policy:
    from programs.stopping import parse_policy

    if text is None:
        _refuse("--target-precision", "be given with --fit", None, "Add --target-precision 0.95.")
    try:
        return float(text)
    except ValueError:
        return parse_policy(text)


def _plot(path: Path, judged: Sequence[Judged]) -> None:
    from optimizers.frontier import frontier_svg
    from signatures.errors import OutputError

    try:
        path.write_text(frontier_svg(judged), encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError.rule(
            "Drawing the frontier failed",
            name="--plot",
            rule="be in a folder that exists and can be written to",
            value=str(path),
            todo=f"{error.strerror or type(error).__name__}. Name another place.",
        ) from error


def _refuse(name: str, rule: str, value: object, todo: str) -> NoReturn:
    from signatures.errors import ConfigError

    raise ConfigError.rule("Replaying failed", name=name, rule=rule, value=value, todo=todo)
