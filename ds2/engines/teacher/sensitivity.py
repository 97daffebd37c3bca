"""How much the words of a prompt matter to the simulated teacher: nothing by default.

With a sensitivity S from 0 to 1 a reply is *careless* with the chance

    c = S x (0.48 - 0.08 x min(3, matching demos) - 0.08 x steps - 0.08 x verbs - 0.08 x form)

| what helps | when it counts | takes off |
| --- | --- | --- |
| matching demos | a complete earlier turn, its reply not known to be wrong | 0.08 each, up to 3 |
| steps | the instruction asks to check every step, figure or item | 0.08 |
| verbs | it names a verb of the level that the question is at, or is to be at | 0.08 |
| form | it says that exactly the fields, and nothing else, are wanted | 0.08 |

Keyword lists, and checks of them, have no level: there c begins at 0.40. The best prompt is never
careless. A careless answer is a slip; a careless question is ambiguous or at another level; in a
careless list every keyword may be one that is known, of the other direction or too general (each with
the chance c); a careless judge names a neighbouring level, or gives the other verdict on two answers,
on a question (both verdicts) or on a keyword list (on every keyword of it).

At 0 nothing helps, no chance is drawn, and every reply is the one of a teacher without sensitivity.
The plain prompt of the judge of levels names the verbs of all levels already, and so begins at 0.40.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

from ds2.engines.teacher import catalog
from ds2.engines.teacher.checks import check_keywords, check_question, same_answer, task_named
from ds2.engines.teacher.prompts import Prompt
from signatures.bloom import BloomLevel
from signatures.errors import ConfigError

Stage = Literal["keywords", "writer", "answers", "judge", "keyword judge"]

HELP = 0.08
_WITHOUT_LEVEL = ("keywords", "keyword judge")
MOST_DEMOS = 3

STEPS = re.compile(
    r"\b(?:re-?check|double-check|check|verify|confirm)\b[^.]{0,30}\b(?:each|every|all)\b"
    r"[^.]{0,20}\b(?:step|figure|calculation|item)s?\b",
    re.IGNORECASE,
)
FORM = re.compile(
    r"\b(?:nothing else|no other text|exactly the fields|exact form)\b", re.IGNORECASE
)
VERBS = {
    BloomLevel.REMEMBER: ("recall", "define", "recognise"),
    BloomLevel.UNDERSTAND: ("explain", "classify", "translate"),
    BloomLevel.APPLY: ("carry out", "calculate", "compute"),
    BloomLevel.ANALYZE: ("break", "take apart", "relate"),
    BloomLevel.EVALUATE: ("judge", "assess", "weigh"),
    BloomLevel.CREATE: ("design", "devise", "put parts together"),
}
_NOT_SUPPLIED = "Not supplied for this particular example"
_FIELD = re.compile(
    r"^\[\[ ## (\w+) ## \]\][ \t]*\n(.*?)(?=^\[\[ ## |\Z)", re.MULTILINE | re.DOTALL
)


class Helps(NamedTuple):
    """What of a prompt helps."""

    demos: int
    steps: bool
    verbs: bool
    form: bool

    @property
    def taken_off(self) -> float:
        """Return what they take off the chance at S = 1."""
        count = min(MOST_DEMOS, self.demos) + self.steps + self.verbs + self.form
        return HELP * count


def checked_sensitivity(value: float) -> float:
    """Return a sensitivity that is from 0 to 1.

    Raises:
        ConfigError: it is not.
    """
    if not 0 <= value <= 1:
        raise ConfigError.rule(
            "Setting up the simulated teacher failed",
            name="sensitivity",
            rule="be from 0 (no prompt helps) to 1",
            value=value,
            todo="Use 1 to try optimizers, and 0 for all else.",
        )
    return value


def carelessness(prompt: Prompt, stage: Stage, sensitivity: float) -> float:
    """Return the chance that the reply to a prompt of `stage` is careless; see the module."""
    if not sensitivity:
        return 0.0
    most = HELP * (MOST_DEMOS + (2 if stage in _WITHOUT_LEVEL else 3))
    return sensitivity * (most - helps(prompt, stage).taken_off)


def helps(prompt: Prompt, stage: Stage) -> Helps:
    """Return what of a prompt helps."""
    text = prompt.objective.casefold()
    return Helps(
        demos=sum(_matches(demo, stage) for demo in _demos(prompt)),
        steps=bool(STEPS.search(text)),
        verbs=stage not in _WITHOUT_LEVEL and _names_verb(text, _level(prompt.inputs, stage)),
        form=bool(FORM.search(text)),
    )


def _names_verb(text: str, level: BloomLevel | None) -> bool:
    verbs = [v for one in (BloomLevel if level is None else (level,)) for v in VERBS[one]]
    return any(re.search(rf"\b{re.escape(verb)}\b", text) for verb in verbs)


def _level(values: Mapping[str, str], stage: Stage) -> BloomLevel | None:
    if stage == "writer":
        named = values.get("level", "").strip().casefold()
        return next((level for level in BloomLevel if level.value.casefold() == named), None)
    found = catalog.recognise(values.get("question", ""), values.get("context", ""))
    return found.level if found else None


def _demos(prompt: Prompt) -> Iterator[dict[str, str]]:
    """Yield the fields of each complete demo, given and answered together."""
    turns = [part.partition("\x1f") for part in prompt.text.split("\x1e")[1:]]
    for (asked_by, _, asked), (said_by, _, said) in pairwise(turns):
        if (asked_by, said_by) != ("user", "assistant") or _NOT_SUPPLIED in asked + said:
            continue
        fields = {name: value.strip() for name, value in _FIELD.findall(asked)}
        answered = {name: value.strip() for name, value in _FIELD.findall(said)} or _json(said)
        if all(field.name in answered for field in prompt.outputs):
            yield fields | answered


def _json(text: str) -> dict[str, str]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}


def _listed(text: str) -> set[str]:
    """Return the texts of a list as it stands in a demo; empty where it is none."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return set()
    return set(map(str, value)) if isinstance(value, list) else set()


def _matches(demo: dict[str, str], stage: Stage) -> bool:
    """Return whether a demo is one to follow: what is not known to be wrong is."""
    if stage == "keywords":
        return bool(demo.get("keywords", "").strip("[] "))
    if "same" in demo:
        same = same_answer(*(demo.get(name, "") for name in ("question", "first", "second")))
        return same is None or demo["same"] == ("yes" if same else "no")
    if "off_task" in demo:
        faults = check_keywords(demo, task_named(demo.get("task", "")))
        return all(_listed(demo.get(name, "")) == set(found) for name, found in faults.items())
    if "keywords_used" in demo:
        return all(demo.get(name) == said for name, said in check_question(demo).items())
    found = catalog.recognise(demo.get("question", ""), demo.get("context", ""))
    if found is None:
        return True
    if stage == "writer":
        return not found.vague and found.level == _level(demo, "writer")
    if stage == "judge":
        return found.level is None or found.level.value == demo.get("level", "")
    options = catalog.options_of(demo.get("options", ""))
    right = catalog.letter_of(found.solution.truth, options) if options else found.solution.truth
    return right is None or catalog.same(demo.get("answer", "").strip("*$(). "), right)
