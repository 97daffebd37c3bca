"""Run a study with Optuna: trials until there are enough, resumable, several objectives at once.

The sampler is TPE, seeded anew for every trial by the study's seed and the trial's place, so that a
study that was broken off and continued asks for the same trials as one that was not. A trial that was
broken off (Ctrl-C, a spent budget, a kill) is asked for again with the same settings.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Protocol

from optimizers.tuning.heldout import HELD_OUT, NOTHING, HeldOut
from optimizers.tuning.results import Objective, Tried
from optimizers.tuning.space import Settings, Space
from optimizers.tuning.storage import (
    JOURNAL_NAME,
    Worker,
    close_storage,
    open_storage,
    refuse_journal,
    without_password,
    working,
)
from signatures.errors import ConfigError, StoreError, rule_message
from signatures.records import canonical_json

if TYPE_CHECKING:
    import optuna

BARREN = 20
"""Trials in a row that may give nothing before a study ends."""

RETRY = "retry_of"
_IDENTITY, _RECORD, _BASELINE, _REASON = "ds2", "ds2", "baseline", "reason"
_WORKER = "worker"
_FEWEST = 10  # different trials for importances to say anything


class Measured(NamedTuple):
    """What a trial came to.

    Args:
        values: by name, at least the objectives and what constraints are about.
        facts: what else a reader should know, as JSON values.
    """

    values: Mapping[str, float]
    facts: Mapping[str, Any]


class Unmeasured(Exception):  # noqa: N818 - no error: this trial has no score, and the study goes on
    """A trial has nothing to measure; the message says why. It is never a score of 0."""


class _Twice(Exception):  # noqa: N818 - no error: two workers that began at once queued the same trial
    """A baseline is tried already."""


class Paused(Exception):  # noqa: N818 - no error of the study: it waits to be continued
    """A trial could not end (a spent budget, an endpoint that is down): the study stops, resumably."""


class Evaluate(Protocol):
    """Measures settings. The same settings give the same values.

    Raises `Unmeasured` for a trial without a score, `Paused` where no trial could go on.
    """

    def __call__(self, settings: Settings) -> Measured: ...


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is searched, for what, and where it is kept.

    Args:
        name: of the study in its storage.
        folder: of the study; holds the journal unless `storage` names a database.
        space: what is searched.
        objectives: what is wanted, at least two.
        minima: the least value of a measured name that is feasible.
        baselines: settings that are tried first, by name.
        identity: what else must be the same when the study is continued (task, source, ...).
        held_out: what no trial is measured on; must be the same too.
        trials: complete trials wanted in all, at least 1.
        seed: of the sampler.
        storage: URL of a database; None for the journal.
    """

    name: str
    folder: Path
    space: Space
    objectives: tuple[Objective, ...]
    minima: Mapping[str, float] = field(default_factory=dict)
    baselines: Mapping[str, Settings] = field(default_factory=dict)
    identity: Mapping[str, Any] = field(default_factory=dict)
    held_out: HeldOut = NOTHING
    trials: int = 100
    seed: int = 0
    storage: str | None = None


class Outcome(NamedTuple):
    """What a study came to.

    Args:
        tried: complete trials, by number.
        failed: how many trials gave nothing, by reason.
        skipped: baselines that the space does not hold, with the parameter that is outside.
        importances: of the parameters, by objective; empty where there are too few trials.
        paused: why the study stopped before its end; empty otherwise.
    """

    tried: list[Tried]
    failed: dict[str, int]
    skipped: dict[str, str]
    importances: dict[str, dict[str, float]]
    paused: str = ""


class Watch(Protocol):
    """Who watches a study: told of the trials that are there at its start, then of each new one."""

    def began(self, known: Sequence[Tried], wanted: int) -> None: ...

    def measured(self, one: Tried) -> None: ...


def run_study(plan: StudyPlan, evaluate: Evaluate, watch: Watch | None = None) -> Outcome:
    """Run a study to its number of trials, or continue it, and return what it came to.

    Args:
        plan: what is searched.
        evaluate: measures a trial.
        watch: who watches.

    Raises:
        ConfigError: a number is out of its range.
        StoreError: the storage cannot be used, or holds a study of something else.
        KeyboardInterrupt: it was interrupted; the same plan continues it.
    """
    _check(plan)
    with _quiet(), working(plan.folder) as worker, _stored(plan) as storage:
        study = _open(plan, storage)
        _clean_up(study, plan, worker)
        worker.share()
        skipped = _enqueue_baselines(study, plan)
        paused = _Search(plan, evaluate, watch, worker).run(study)
        return Outcome(
            tried=tried_of(study, plan),
            failed=_failures(study),
            skipped=skipped,
            importances=_importances(study, plan),
            paused=paused,
        )


def tried_of(study: optuna.Study, plan: StudyPlan) -> list[Tried]:
    """Return the complete trials of a study, by number."""
    return [_tried(trial, plan) for trial in _complete(study)]


def _tried(trial: optuna.trial.FrozenTrial, plan: StudyPlan) -> Tried:
    record = trial.user_attrs[_RECORD]
    return Tried(
        trial.number,
        record["settings"],
        tuple(trial.values),
        record["facts"],
        all(record["values"][name] >= least for name, least in plan.minima.items()),
        trial.user_attrs.get(_BASELINE, ""),
    )


def _complete(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    from optuna.trial import TrialState

    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


class _Search:
    """The loop of one process over a study."""

    def __init__(
        self, plan: StudyPlan, evaluate: Evaluate, watch: Watch | None, worker: Worker
    ) -> None:
        self._plan, self._evaluate, self._watch = plan, evaluate, watch
        self._worker = worker
        self._known: dict[str, Measured] = {}
        self._current: int | None = None

    def run(self, study: optuna.Study) -> str:
        """Run trials until there are enough; return why it paused, or nothing."""
        known = _complete(study)
        for trial in known:
            record = trial.user_attrs[_RECORD]
            measured = Measured(record["values"], record["facts"])
            self._known[canonical_json(record["settings"])] = measured
        if self._watch is not None:
            self._watch.began([_tried(trial, self._plan) for trial in known], self._plan.trials)
        if len(known) >= self._plan.trials:
            return ""
        try:
            study.optimize(self._objective, catch=(Unmeasured, _Twice), callbacks=[self._after])
        except BaseException as stopped:
            if self._current is not None:
                _retry(study, study.get_trials(deepcopy=False)[self._current])
            if isinstance(stopped, Paused):
                return str(stopped)
            raise
        return ""

    def _objective(self, trial: optuna.Trial) -> list[float]:
        self._current = trial.number
        _refuse_twice(trial)
        if self._plan.storage is not None:
            trial.set_user_attr(_WORKER, self._worker.name)
        settings = self._plan.space.suggest(trial)
        key = canonical_json(settings)
        try:
            measured = self._known.get(key) or self._evaluate(settings)
        except Unmeasured as reason:
            trial.set_user_attr(_REASON, str(reason))
            raise
        self._known[key] = measured
        for name, least in self._plan.minima.items():
            trial.set_constraint(f"least {name}", least - measured.values[name])
        record = {
            "settings": settings,
            "values": dict(measured.values),
            "facts": dict(measured.facts),
        }
        trial.set_user_attr(_RECORD, record)
        return [measured.values[wanted.name] for wanted in self._plan.objectives]

    def _after(self, study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        from optuna.trial import TrialState

        self._current = None
        if trial.state is TrialState.COMPLETE and self._watch is not None:
            self._watch.measured(_tried(trial, self._plan))
        trials = study.get_trials(deepcopy=False)
        done = sum(t.state is TrialState.COMPLETE for t in trials)
        last = [t for t in trials if t.state.is_finished()][-BARREN:]
        barren = len(last) == BARREN and all(_REASON in t.user_attrs for t in last)
        if done >= self._plan.trials or barren:
            study.stop()


@contextmanager
def _stored(plan: StudyPlan) -> Iterator[optuna.storages.BaseStorage]:
    storage = open_storage(plan.storage, plan.folder)
    try:
        yield storage
    finally:
        close_storage(storage)


def _open(plan: StudyPlan, storage: optuna.storages.BaseStorage) -> optuna.Study:
    import optuna

    from optimizers.tuning.sampler import ReseededTPE

    study = optuna.create_study(
        study_name=plan.name,
        storage=storage,
        load_if_exists=True,
        directions=["maximize" if wanted.higher else "minimize" for wanted in plan.objectives],
        sampler=ReseededTPE(plan.seed),
    )
    ours = json.loads(json.dumps(_identity(plan)))
    begun = bool(study.get_trials(deepcopy=False))  # before the identity, which goes before trials
    theirs = study.user_attrs.get(_IDENTITY)
    if theirs is None and not begun:
        study.set_user_attr(_IDENTITY, ours)
        study.set_metric_names([wanted.name for wanted in plan.objectives])
    elif theirs != ours:
        _refuse_other(plan, theirs or {}, ours)
    return study


def _identity(plan: StudyPlan) -> dict[str, Any]:
    return {
        **plan.identity,
        # Only where there is some: a study that holds nothing out goes on as it was begun.
        **({HELD_OUT: plan.held_out.identity} if plan.held_out.questions else {}),
        "objectives": [wanted.name for wanted in plan.objectives],
        "minima": dict(plan.minima),
        "space": {name: repr(domain) for name, domain in plan.space.domains.items()},
    }


def _refuse_other(plan: StudyPlan, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> NoReturn:
    changes = []
    for name in {**theirs, **ours}:
        old, new = theirs.get(name), ours.get(name)
        if old == new:
            continue
        if name == HELD_OUT:
            was, now = (f"{part['questions']} questions" if part else "none" for part in (old, new))
            changes.append(f"{was} were held out, now {now if now != was else 'others'}")
        elif isinstance(old, dict) and isinstance(new, dict):
            parts = [part for part in {**old, **new} if old.get(part) != new.get(part)]
            changes += [f"{name}: {p} was {old.get(p)}, is {new.get(p)}" for p in parts]
        else:
            changes.append(f"{name} was {old}, is {new}")
    todo = "Give what it began with, or choose another --out (or --study)."
    if HELD_OUT in ours and HELD_OUT not in theirs:
        todo = "Choose another --out (or --study), or go on with --no-held-out as it began."
    where = plan.folder / JOURNAL_NAME if plan.storage is None else without_password(plan.storage)
    raise StoreError(
        rule_message(
            "Continuing the study failed",
            unit=f"{plan.name} in {where}",
            name="the study",
            rule="be of the same task, source, held-out questions, space and objectives",
            value=_Plain("; ".join(changes)),
            todo=todo,
        )
    )


class _Plain(str):
    """A text that errors show as it stands, for it is not a value that somebody typed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _clean_up(study: optuna.Study, plan: StudyPlan, worker: Worker) -> None:
    """Ask again for the trials that processes which are gone left running."""
    import optuna
    from optuna.trial import TrialState

    running = study.get_trials(states=(TrialState.RUNNING,)) if worker.alone else []
    for trial in running:
        if plan.storage is not None and trial.user_attrs.get(_WORKER) != worker.name:
            continue
        study.tell(trial.number, state=TrialState.FAIL)
        _retry(study, trial)
    if plan.storage is not None:
        optuna.storages.fail_stale_trials(study)


def _retry(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    kept = {name: trial.user_attrs[name] for name in (_BASELINE,) if name in trial.user_attrs}
    study.enqueue_trial(trial.params, user_attrs={**kept, RETRY: trial.number})


def _enqueue_baselines(study: optuna.Study, plan: StudyPlan) -> dict[str, str]:
    """Queue each baseline once; return those that the space does not hold.

    Optuna takes a value that is out of its range as given, and ignores a name it does not know.
    """
    there = {trial.user_attrs.get(_BASELINE) for trial in study.get_trials(deepcopy=False)}
    skipped = {}
    for name, settings in plan.baselines.items():
        outside = plan.space.outside(settings)
        if outside is not None:
            skipped[name] = outside
        elif name not in there:
            study.enqueue_trial(plan.space.sampled(settings), user_attrs={_BASELINE: name})
    return skipped


def _refuse_twice(trial: optuna.Trial) -> None:
    from optuna.trial import TrialState

    name = trial.user_attrs.get(_BASELINE)
    if name is None:
        return
    earlier = trial.study.get_trials(deepcopy=False)[: trial.number]
    live = (t for t in earlier if t.state is not TrialState.FAIL)
    if any(t.user_attrs.get(_BASELINE) == name for t in live):
        raise _Twice(name)


def _failures(study: optuna.Study) -> dict[str, int]:
    reasons = (t.user_attrs.get(_REASON) for t in study.get_trials(deepcopy=False))
    return dict(Counter(reason for reason in reasons if reason is not None))


def _importances(study: optuna.Study, plan: StudyPlan) -> dict[str, dict[str, float]]:
    """Return how much each parameter matters for each objective (PED-ANOVA), sums of 1.

    Source: Watanabe et al. (2023), arXiv:2304.10255; for parameters that only some trials have, its
    conditional form, as Optuna has it.
    """
    import optuna

    trials = _complete(study)
    if len({canonical_json(trial.params) for trial in trials}) < _FEWEST:
        return {}
    found = {}
    for place, wanted in enumerate(plan.objectives):
        if len({trial.values[place] for trial in trials}) < _FEWEST:
            continue
        sign = -1.0 if wanted.higher else 1.0  # it asks what makes the target low
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # says so at every call
            found[wanted.name] = optuna.importance.get_param_importances(
                study,
                evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
                target=lambda t, at=place, by=sign: by * t.values[at],
            )
    return found


def _check(plan: StudyPlan) -> None:
    for name, value, ok, rule in (
        ("--trials", plan.trials, plan.trials >= 1, "be at least 1"),
        ("--seed", plan.seed, 0 <= plan.seed < 1 << 32, "be from 0 to 4294967295"),
    ):
        if not ok:
            raise ConfigError.rule(
                "Tuning failed", name=name, rule=rule, value=value, todo="Choose another number."
            )
    try:
        plan.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refuse_journal(plan.folder, error)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from speaking: its log, and warnings that parts of it are experimental."""
    import optuna

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(level)
