"""Biomedical abstracts: the wordings of six families answered with yes, no or maybe, and keywords."""

from __future__ import annotations

from ds2.engines.teacher import studies
from ds2.engines.teacher.frame import Domain, Family, node
from ds2.engines.teacher.slots import Whole, Word
from ds2.engines.teacher.wording import Asks
from signatures.bloom import BloomLevel

_ASKS = {
    BloomLevel.REMEMBER: (
        "[Recall|Remember] how such results are read. {Question}?",
        "By the rule stated in the methods, {question}?",
    ),
    BloomLevel.UNDERSTAND: (
        "Put the results into [plain|your own] words: {question}?",
        "What do these figures mean for people outside the study, that is, {question}?",
    ),
    BloomLevel.APPLY: (
        "Apply the criterion of the methods to the results. {Question}?",
        "Carry the [stated|given] rule over to the figures: {question}?",
    ),
    BloomLevel.ANALYZE: (
        "Set the estimate, its uncertainty and the criterion apart and relate them: {question}?",
        "[Take the results apart|Separate the decisive figures from the rest]. {Question}?",
    ),
    BloomLevel.EVALUATE: (
        (
            'A [reader|reviewer|journalist] sums the study up as "{claim}". Judge this verdict against '
            "the criterion: {question}?"
        ),
        'Is the verdict "{claim}" warranted by the evidence? Decide for yourself: {question}?',
    ),
    BloomLevel.CREATE: (
        (
            "[Draft|Compose] the conclusion that is missing; in it, what would you reply to those "
            "who ask: {question}?"
        ),
        (
            "Formulate a closing sentence for the abstract that settles the point as far as it can "
            "be: {question}?"
        ),
    ),
}


def _asks(question: str) -> Asks:
    """Return the wordings of all levels for a yes-no question, given without its question mark."""
    capital = question[:1].upper() + question[1:]
    return {
        level: tuple(
            text.replace("{question}", question).replace("{Question}", capital) for text in texts
        )
        for level, texts in _ASKS.items()
    }


_DRUGS = Word(
    ("alvorine", "betanuril", "cortadex", "dulimab", "elvastan", "fendoprex", "galotide", "heminol")
)
_PEOPLE = Word(
    (
        "adults with knee osteoarthritis", "women after menopause", "people with type 2 diabetes",
        "patients with chronic low back pain", "older people in nursing homes",
        "adults with moderate asthma", "patients after a stroke", "adolescents with migraine",
    )
)  # fmt: skip
_HARMS = Word(
    ("hip fracture", "atrial fibrillation", "dementia", "colorectal cancer", "kidney failure")
)

TRIAL = Family(
    name="trial",
    difficulty=0.45,
    slots={
        "drug": _DRUGS,
        "people": _PEOPLE,
        "scale": Word(("pain relief", "quality of life", "vitality", "physical function", "sleep")),
        "n": Whole(120, 900, 2),
        "weeks": Whole(8, 52, 4),
        "relevant": Whole(3, 8),
        "effect": studies.Effect(0, 12, 1, 4),
    },
    scenes=(
        (
            "AIM: To test {drug} against placebo in {people}. METHODS: In all, {n} participants "
            "were randomised, double-blind, for {weeks} weeks. A gain of {relevant} points over "
            "placebo on a 100-point scale of {scale} was set as clinically relevant: shown if the "
            "whole interval reached it, refuted if the whole interval stayed below, open "
            "otherwise. RESULTS: The gain over placebo was {effect} points."
        ),
        (
            "BACKGROUND: Trials of {drug} are few. METHODS: In a double-blind trial {n} {people} "
            "received the drug or placebo. The outcome was {scale} (0 to 100, higher is better) "
            "after {weeks} weeks. By protocol, relevance meant {relevant} points or more over the "
            "whole 95% interval, and lack of relevance less than that over the whole interval. "
            "RESULTS: The mean gain over placebo was {effect} points."
        ),
    ),
    asks=_asks("does {drug} bring a clinically relevant gain in {scale} to {people}"),
    solve=studies.trial,
    fit=lambda p: p.relevant not in (p.effect.low, p.effect.high),
)

COHORT = Family(
    name="cohort",
    difficulty=0.5,
    slots={
        "exposure": Word(
            (
                "night work",
                "use of sleeping pills",
                "a low-fibre diet",
                "living near busy roads",
                "long-term use of antacids",
                "poor hearing",
            )
        ),
        "harm": _HARMS,
        "n": Whole(2000, 90_000, 10),
        "years": Whole(5, 20),
        "hazard": studies.Effect(-0.1, 0.35, 0.05, 0.25, ratio=True),
    },
    scenes=(
        (
            "OBJECTIVE: To study {exposure} and the later risk of {harm}. METHODS: In all, {n} "
            "adults were followed for {years} years; hazards were adjusted for age, sex and "
            "smoking. An association was stated if the 95% interval excluded 1, ruled out if the "
            "interval held 1 and lay within 0.83 to 1.20, and left open otherwise. RESULTS: The "
            "adjusted hazard ratio was {hazard}."
        ),
        (
            "METHODS: A prospective cohort of {n} people was observed over {years} years. Exposure "
            "was {exposure}, the endpoint {harm}. The authors fixed in advance that an interval "
            "without 1 means an association, an interval around 1 within the bounds 0.83 and 1.20 "
            "means none, and any other is inconclusive. RESULTS: Exposed against unexposed, the "
            "hazard ratio after adjustment came to {hazard}."
        ),
    ),
    asks=_asks("is {exposure} associated with {harm}"),
    solve=studies.cohort,
    fit=lambda p: (
        not (
            1 in p.hazard[1:]
            or (
                (p.hazard.low > 1 or p.hazard.high < 1)
                and studies.NEAR_NULL[0] <= p.hazard.low
                and p.hazard.high <= studies.NEAR_NULL[1]
            )
        )
    ),
)

ACCURACY = Family(
    name="accuracy",
    difficulty=0.55,
    slots={
        "test": Word(("breath", "saliva", "finger-prick", "urine", "smartphone", "ultrasound")),
        "disease": Word(
            ("early sepsis", "gout", "celiac disease", "heart failure", "appendicitis")
        ),
        "sens": studies.Accuracy(80, 400, 0.78, 0.99),
        "spec": studies.Accuracy(150, 900, 0.8, 0.99),
        "needed": Whole(75, 90, 5),
    },
    scenes=(
        (
            "AIM: To validate a {test} test for {disease} against the reference standard. METHODS: "
            "Consecutive patients had both tests. Accuracy was to be called sufficient if the "
            "lower bounds of sensitivity and of specificity were {needed}% or more, insufficient "
            "if one upper bound was less, and undecided otherwise. RESULTS: Positive among the "
            "ill: {sens}. Negative among the well: {spec}."
        ),
        (
            "METHODS: A new {test} test was compared with the reference standard for {disease}. "
            "Required were {needed}% for both measures: met if both intervals lay at or above it, "
            "missed if at least one interval lay wholly below, unresolved in all other cases. "
            "RESULTS: The test was right in {sens} patients with the disease and in {spec} without."
        ),
    ),
    asks=_asks("is the {test} test accurate enough for {disease}"),
    solve=studies.accuracy,
)

DOSE_RESPONSE = Family(
    name="dose_response",
    difficulty=0.4,
    slots={
        "drug": _DRUGS,
        "people": _PEOPLE,
        "marker": Word(
            ("bone density", "haemoglobin", "walking distance", "grip strength", "lung function")
        ),
        "n": Whole(90, 480, 3),
        "changes": studies.Doses(),
        "trend": studies.PValue(50),
    },
    scenes=(
        (
            "PURPOSE: To find out how {drug} acts on {marker}. METHODS: In all, {n} {people} were "
            "allocated to a low, a middle or a high dose. A dose-response relation was claimed if "
            "P for trend was below 0.05 and the mean rise grew at every step of dose, denied if "
            "neither was so, and left open if only one was. RESULTS: From low to high dose "
            "{marker} rose by {changes} percent (P for trend {trend})."
        ),
        (
            "METHODS: Three doses of {drug} were compared in {n} {people}. Two conditions defined "
            "a dose-response relation: a trend test with P below 0.05, and a larger mean rise in "
            "{marker} at each higher dose; one of them alone was regarded as unclear, none as "
            "absence. RESULTS: Mean rises, lowest dose first, were {changes} percent; the trend "
            "test gave P = {trend}."
        ),
    ),
    asks=_asks("does the effect of {drug} on {marker} grow with the dose"),
    solve=studies.dose_response,
)

CROSSOVER = Family(
    name="crossover",
    difficulty=0.5,
    slots={
        "drug": _DRUGS,
        "people": _PEOPLE,
        "marker": Word(("sleep duration", "exercise capacity", "reaction speed", "attention span")),
        "n": Whole(16, 80, 2),
        "weeks": Whole(2, 8),
        "gain": studies.Effect(-2, 7, 1.5, 4.5),
        "carry": studies.PValue(100, below=0.3),
    },
    scenes=(
        (
            "AIM: To compare {drug} with placebo within the same {people}. METHODS: Randomised "
            "crossover, {n} participants, {weeks} weeks of washout. If carry-over showed (P below "
            "0.10) no verdict was to be given; without it, a benefit was stated if the 95% "
            "interval lay above 0 and denied if not. RESULTS: On the drug {marker} was better by "
            "{gain} percent. P for carry-over was {carry}."
        ),
        (
            "METHODS: All of {n} {people} took both {drug} and placebo, in random order, with "
            "{weeks} weeks between periods. The test for carry-over came first: P below 0.10 left "
            "the question open. Otherwise an interval wholly above 0 counted as benefit, any other "
            "as none. RESULTS: Carry-over: P = {carry}. Change in {marker}, drug less placebo: "
            "{gain} percent."
        ),
    ),
    asks=_asks("does {drug} improve {marker} in {people}"),
    solve=studies.crossover,
)

REVIEW = Family(
    name="review",
    difficulty=0.6,
    slots={
        "drug": _DRUGS,
        "harm": _HARMS,
        "people": _PEOPLE,
        "n": Whole(1500, 40_000, 50),
        "pooled": studies.Synthesis((4, 16)),
    },
    scenes=(
        (
            "BACKGROUND: Trials of {drug} against {harm} disagree. METHODS: A systematic review of "
            "randomised trials in {people}, random effects. A reduction to be expected in new "
            "settings was stated if the confidence and the prediction interval both lay below 1, "
            "denied if the confidence interval reached 1, and left open if only the prediction "
            "interval did. RESULTS: With {n} participants the pooled risk ratio was {pooled}."
        ),
        (
            "METHODS: Databases were searched for randomised trials of {drug} in {people}; risk "
            "ratios of {harm} were combined by a random-effects model. Protection in a future "
            "setting required both intervals below 1; a confidence interval touching 1 meant no "
            "protection, and a prediction interval alone touching 1 meant doubt. RESULTS: In {n} "
            "participants the pooled ratio was {pooled}."
        ),
    ),
    asks=_asks("can {drug} be expected to lower the risk of {harm} in a new group of {people}"),
    solve=studies.review,
)

KEYWORDS = (
    node("randomised controlled trial", "trial", core=True, needs="randomisation, placebo control",
         also="RCT, randomised trial"),
    node("hazard ratio", "cohort", core=True, needs="survival analysis", also="ratio of hazards"),
    node("confidence interval", "trial cohort review", core=True, needs="standard error",
         also="95% CI, interval estimate"),
    node("diagnostic accuracy", "accuracy", core=True, needs="sensitivity, specificity",
         also="accuracy of a diagnostic test"),
    node("dose-response relationship", "dose_response", core=True, needs="trend test",
         also="dose response"),
    node("crossover design", "crossover", core=True, needs="within-subject comparison, washout period",
         also="cross-over trial"),
    node("meta-analysis", "review", core=True, needs="risk ratio, systematic review",
         also="pooled analysis"),
    node("cohort study", "cohort", core=True, needs="exposure assessment", also="follow-up study"),
    node("clinical relevance", "trial", core=True, needs="effect size",
         also="clinical significance"),
    node("heterogeneity between studies", "review", core=True, needs="random-effects model",
         also="between-study variation"),
    node("statistical significance", "dose_response crossover", core=True, needs="p-value",
         also="significance testing"),
    node("systematic review", "review", core=True, needs="literature search",
         also="systematic literature review"),
    node("randomisation", "trial crossover", also="random allocation"),
    node("placebo control", "trial crossover", also="placebo group"),
    node("blinding", "trial", needs="placebo control", also="double-blind design"),
    node("minimal important difference", "trial", needs="clinical relevance", also="MCID"),
    node("mean difference", "trial crossover", also="difference in means"),
    node("effect size", "trial review", needs="mean difference", also="size of an effect"),
    node("standard error", "trial cohort", needs="sample size", also="error of an estimate"),
    node("sample size", "trial crossover", also="number of participants"),
    node("survival analysis", "cohort", needs="follow-up time", also="time-to-event analysis"),
    node("follow-up time", "cohort", also="duration of follow-up"),
    node("exposure assessment", "cohort", also="measuring exposure"),
    node("confounding", "cohort", needs="exposure assessment", also="confounding factors"),
    node("adjusted estimates", "cohort", needs="confounding", also="adjustment for confounders"),
    node("null findings", "cohort trial", needs="confidence interval", also="negative results"),
    node("sensitivity", "accuracy", needs="reference standard", also="true positive rate"),
    node("specificity", "accuracy", needs="reference standard", also="true negative rate"),
    node("reference standard", "accuracy", also="gold standard"),
    node("validation study", "accuracy", needs="diagnostic accuracy", also="test validation"),
    node("trend test", "dose_response", needs="p-value", also="test for trend"),
    node("p-value", "dose_response crossover", also="P value"),
    node("dose finding", "dose_response", needs="dose-response relationship", also="dose selection"),
    node("carry-over effect", "crossover", needs="washout period", also="carryover"),
    node("washout period", "crossover", also="wash-out"),
    node("within-subject comparison", "crossover", also="paired comparison"),
    node("risk ratio", "review", also="relative risk"),
    node("random-effects model", "review", needs="risk ratio", also="random effects"),
    node("prediction interval", "review", needs="heterogeneity between studies, confidence interval",
         also="interval for a new study"),
    node("literature search", "review", also="database search"),
)  # fmt: skip

DOMAIN = Domain(
    task="pubmedqa",
    families=(TRIAL, COHORT, ACCURACY, DOSE_RESPONSE, CROSSOVER, REVIEW),
    keywords=KEYWORDS,
    openings=(
        "A journal club [meets on|discusses] {first}.",
        "The abstract is read for what it says on {first}.",
    ),
    pair_openings=("A journal club discusses {first} and {second}.",),
    asides=(
        "The protocol was registered in advance.",
        "The study had no commercial sponsor.",
        "An ethics committee approved the work.",
        "Analyses were planned before data were seen.",
    ),
    context=True,
)
