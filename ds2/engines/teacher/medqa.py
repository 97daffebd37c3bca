"""Clinical medicine: the wordings of six families with four or five options, and their keywords."""

from __future__ import annotations

from fractions import Fraction
from math import log10

from ds2.engines.teacher import clinic
from ds2.engines.teacher.frame import Domain, Family, Params, node
from ds2.engines.teacher.slots import Decimal, Whole, Word
from ds2.engines.teacher.wording import asks_for

DOSAGE = Family(
    name="dosage",
    difficulty=0.35,
    slots={
        "age": Whole(1, 8),
        "illness": Word(
            ("acute otitis media", "streptococcal pharyngitis", "impetigo", "acute sinusitis")
        ),
        "drug": Word(("amoxicillin", "cefalexin", "cefadroxil", "co-amoxiclav")),
        "weight": Decimal(8, 32, step=5),
        "dose": Whole(30, 60, 5),
        "times": Whole(2, 4),
        "strength": Whole(125, 250, 125),
        "days": Whole(5, 10),
    },
    scenes=(
        (
            "A child [aged|at the age of] {age} weighs {weight} kg and has {illness}. The "
            "paediatrician orders {drug}, {dose} mg/kg a day in {times} equal doses for {days} "
            "days, as a suspension with {strength} mg in 5 mL."
        ),
        (
            "Parents bring a {age}-year-old of {weight} kg with fever; the finding is {illness}. "
            "Treatment is oral {drug} at {dose} mg per kg body weight and day, split into {times} "
            "doses, over {days} days. The pharmacy stocks {strength} mg per 5 mL."
        ),
        (
            "For {illness} in a patient of {age} years and {weight} kg the protocol names {drug}: "
            "daily dose {dose} mg/kg, number of doses a day {times}, length {days} days, "
            "suspension of {strength} mg/5 mL."
        ),
    ),
    asks=asks_for(
        "the volume of one dose in mL, to one decimal",
        at={
            "remember": "the total daily dose in mg, to one decimal",
            "understand": "the single dose in mg, to one decimal",
            "analyze": "the volume in mL, to one decimal, needed for the whole course",
        },
        create=(
            "Write the instruction for the parents: how many mL, to one decimal, go into each dose?",
            (
                "Draw up a label for the bottle from these data, with the volume of one dose in "
                "mL, to one decimal. Which volume stands on it?"
            ),
        ),
    ),
    solve=clinic.dosage,
    fit=lambda p: abs(p.weight - (2 * p.age + 9)) <= 4,
)

TESTING = Family(
    name="testing",
    difficulty=0.55,
    slots={
        "test": Word(
            ("rapid antigen", "D-dimer", "faecal blood", "natriuretic peptide", "stress ECG")
        ),
        "age": Whole(30, 75),
        "sick": Whole(10, 300, 10),
        "sensitivity": Whole(70, 98),
        "specificity": Whole(60, 97),
    },
    scenes=(
        (
            "A patient of {age} years has a {test} test. In patients like this one {sick} in 1000 "
            "have the disease; the test's sensitivity is {sensitivity}% and its specificity "
            "{specificity}%."
        ),
        (
            "In a clinic the pretest probability of a disease at {age} years is {sick} per 1000. A "
            "{test} test is done; it detects {sensitivity}% of the ill and is negative in "
            "{specificity}% of the well."
        ),
        (
            "The {test} test has been validated at {sensitivity}% sensitivity and {specificity}% "
            "specificity. A worried person aged {age} comes from a group with {sick} cases per "
            "1000."
        ),
    ),
    asks=asks_for(
        "the probability of disease after a positive result, to one decimal",
        at={
            "remember": "the false positive rate of the test",
            "understand": "the likelihood ratio of a positive result, to two decimals",
            "analyze": "the probability of being free of disease after a negative result, to one decimal",
        },
        create=(
            (
                "Build a two-by-two table for 1000 such people and take from it the predictive "
                "value of a positive result, to one decimal."
            ),
            (
                "Prepare a sentence for the patient that says how likely disease is after a "
                "positive result; which percentage, to one decimal, belongs in it?"
            ),
        ),
    ),
    solve=clinic.testing,
    fit=lambda p: p.sensitivity != p.specificity,
)

BENEFIT = Family(
    name="benefit",
    difficulty=0.45,
    slots={
        "age": Whole(50, 80),
        "event": Word(("myocardial infarction", "stroke", "hip fracture", "hospital admission")),
        "arm": Whole(200, 900, 50),
        "usual": Whole(20, 160),
        "treated": Whole(10, 140),
        "years": Whole(2, 5),
    },
    scenes=(
        (
            "A patient aged {age} asks about a new drug. In its trial {usual} of {arm} people "
            "under usual care and {treated} of {arm} people on the drug had {event} within {years} "
            "years."
        ),
        (
            "A physician weighs a drug for a patient of {age} years on the strength of a trial "
            "over {years} years with {arm} people in each arm: {event} occurred in {treated} with "
            "the drug and in {usual} with usual care."
        ),
        (
            "To prevent {event} in a {age}-year-old, a trial is consulted. Each arm had {arm} "
            "people and ran for {years} years; there were {usual} events under usual care against "
            "{treated} on the drug."
        ),
    ),
    asks=asks_for(
        "the number needed to treat over the time of the trial, rounded up",
        at={
            "remember": "the risk of the event under usual care, to one decimal",
            "understand": "the absolute risk reduction in percentage points, to one decimal",
            "analyze": "the relative risk reduction, to one decimal",
        },
    ),
    solve=clinic.benefit,
    fit=lambda p: (
        p.usual < Fraction(2, 5) * p.arm
        and Fraction(3, 10) < Fraction(p.treated, p.usual) < Fraction(9, 10)
        and p.usual - p.treated >= p.arm // 50
    ),
)


def _acidaemic(p: Params) -> bool:
    gap = p.sodium - p.chloride - p.bicarbonate
    ph = 6.1 + log10(p.bicarbonate / (0.03 * p.carbon))
    apart = abs(p.carbon - Fraction(3, 2) * p.bicarbonate - 8)
    return (
        14 <= gap <= 36 and p.albumin >= 2 and 6.9 < ph < 7.34 and (apart <= 1 or 4 <= apart <= 12)
    )


ACID_BASE = Family(
    name="acid_base",
    difficulty=0.65,
    slots={
        "age": Whole(20, 80),
        "complaint": Word(
            ("vomiting and thirst", "confusion", "fast breathing", "fever and low blood pressure")
        ),
        "sodium": Whole(130, 146),
        "chloride": Whole(92, 110),
        "bicarbonate": Whole(6, 19),
        "albumin": Decimal(1, 3),
        "carbon": Whole(14, 48),
    },
    scenes=(
        (
            "A patient aged {age} is admitted with {complaint}. Arterial blood is acidaemic. "
            "Sodium {sodium}, chloride {chloride}, bicarbonate {bicarbonate} mmol/L; albumin "
            "{albumin} g/dL; pCO2 {carbon} mmHg."
        ),
        (
            "[On account of|With] {complaint} a patient of {age} years comes to the emergency "
            "department. The pH is low, pCO2 {carbon} mmHg, bicarbonate {bicarbonate} mmol/L, "
            "sodium {sodium} mmol/L, chloride {chloride} mmol/L, albumin {albumin} g/dL."
        ),
        (
            "Laboratory values of an acidaemic {age}-year-old with {complaint}: Na {sodium} "
            "mmol/L, Cl {chloride} mmol/L, HCO3 {bicarbonate} mmol/L, pCO2 {carbon} mmHg, albumin "
            "{albumin} g/dL."
        ),
    ),
    asks=asks_for(
        "the pCO2 in mmHg that Winter's formula expects, to one decimal",
        at={
            "remember": "the anion gap in mmol/L, without potassium",
            "understand": "the anion gap in mmol/L, corrected to an albumin of 4.0 g/dL, to two decimals",
            "analyze": "the acid-base disorder, if Winter's formula allows 2 mmHg either way",
            "create": "the delta ratio from the albumin-corrected gap (normal: gap 12, albumin 4.0, "
            "bicarbonate 24), to two decimals",
        },
        evaluate=(
            (
                "A [resident|student] reads this as {claim}. Judge the reading by Winter's "
                "formula, with 2 mmHg allowed either way, and name the disorder."
            ),
            (
                "The chart says {claim}. Does Winter's formula (2 mmHg allowed either way) bear it "
                "out? Name the disorder that it shows."
            ),
        ),
    ),
    solve=clinic.acid_base,
    fit=_acidaemic,
)

_LABEL = (
    "The label gives the full dose from 60 mL/min, 75% from 30, 50% from 15 and 25% below 15 "
    "(Cockcroft and Gault)."
)

RENAL = Family(
    name="renal",
    difficulty=0.5,
    slots={
        "age": Whole(45, 90),
        "sex": Word(("man", "woman")),
        "weight": Whole(48, 110),
        "illness": Word(("pyelonephritis", "pneumonia", "cellulitis", "a diabetic foot infection")),
        "creatinine": Decimal(0, 5),
        "full": Whole(400, 2000, 200),
    },
    scenes=(
        "In a {sex} of {age} years and {weight} kg, admitted with {illness}, serum creatinine is "
        "{creatinine} mg/dL. An antibiotic with a full dose of {full} mg is chosen. " + _LABEL,
        "A {age}-year-old {sex} with {illness} weighs {weight} kg; creatinine is stable at {creatinine} "
        "mg/dL. The full dose of the drug of choice is {full} mg. " + _LABEL,
        "Before {illness} is treated the dose must be fitted to the kidneys: {sex}, {age} years, "
        "{weight} kg, creatinine {creatinine} mg/dL, full dose {full} mg. " + _LABEL,
    ),
    asks=asks_for(
        "the creatinine clearance in mL/min, to one decimal",
        at={
            "remember": "the creatinine in micromol/L, rounded to a whole number",
            "understand": "the share of the full dose that the label allows",
            "analyze": "the dose that the label allows",
        },
    ),
    solve=clinic.renal,
    fit=lambda p: p.creatinine >= Fraction(4, 5) and clinic.far_from_bounds(p),
)

KINETICS = Family(
    name="kinetics",
    difficulty=0.6,
    slots={
        "age": Whole(25, 80),
        "illness": Word(
            ("status asthmaticus", "atrial fibrillation", "status epilepticus", "sepsis")
        ),
        "weight": Whole(50, 110),
        "spread": Decimal(0, 1),
        "half": Whole(3, 14),
        "target": Whole(5, 25),
    },
    scenes=(
        (
            "A patient aged {age} with {illness} weighs {weight} kg. The drug needed distributes "
            "into {spread} L/kg, has a half-life of {half} h and works at {target} mg/L."
        ),
        (
            "For {illness} a drug is given by vein to a patient of {age} years and {weight} kg. "
            "Its target concentration is {target} mg/L, its half-life {half} h, its volume of "
            "distribution {spread} litres per kg."
        ),
        (
            "The intensive care unit treats {illness} in a {age}-year-old of {weight} kg with a "
            "drug that follows one compartment: {spread} L/kg, half-life {half} h, desired level "
            "{target} mg/L."
        ),
    ),
    asks=asks_for(
        "the loading dose in mg that reaches this level at once, to one decimal",
        at={
            "remember": "the time in hours, taken as four half-lives, in which an infusion comes close "
            "to steady state",
            "understand": "the volume of distribution in litres, to one decimal",
            "analyze": "the infusion rate in mg/h that holds this level, to one decimal",
        },
    ),
    solve=clinic.kinetics,
    fit=lambda p: Fraction(1, 5) <= p.spread < 1,
)

KEYWORDS = (
    node("weight-based dosing", "dosage", core=True, needs="body weight, dose units",
         also="dosing by weight"),
    node("positive predictive value", "testing", core=True, needs="sensitivity, specificity",
         also="PPV"),
    node("number needed to treat", "benefit", core=True, needs="absolute risk reduction", also="NNT"),
    node("anion gap", "acid_base", core=True, needs="serum electrolytes", also="serum anion gap"),
    node("creatinine clearance", "renal", core=True, needs="serum creatinine",
         also="Cockcroft-Gault clearance"),
    node("loading dose", "kinetics", core=True, needs="volume of distribution",
         also="initial saturating dose"),
    node("metabolic acidosis", "acid_base", core=True, needs="bicarbonate",
         also="non-respiratory acidosis"),
    node("diagnostic test accuracy", "testing", core=True, needs="sensitivity, specificity",
         also="accuracy of a test"),
    node("renal dose adjustment", "renal", core=True, needs="creatinine clearance",
         also="dosing in kidney disease"),
    node("half-life of a drug", "kinetics", core=True, also="elimination half-life"),
    node("relative risk reduction", "benefit", core=True, needs="event rate", also="RRR"),
    node("paediatric prescribing", "dosage", core=True, needs="weight-based dosing",
         also="prescribing for children"),
    node("sensitivity", "testing", also="true positive rate"),
    node("specificity", "testing", also="true negative rate"),
    node("false positive rate", "testing", needs="specificity", also="rate of false alarms"),
    node("negative predictive value", "testing", needs="sensitivity, specificity", also="NPV"),
    node("pretest probability", "testing", also="prior probability of disease"),
    node("likelihood ratios", "testing", needs="diagnostic test accuracy, pretest probability",
         also="diagnostic likelihood ratios"),
    node("Bayesian reasoning", "testing", needs="positive predictive value, pretest probability",
         also="reasoning after Bayes"),
    node("body weight", "dosage kinetics", also="patient weight"),
    node("dose units", "dosage", also="units of dosage"),
    node("divided doses", "dosage", needs="dose units", also="split doses"),
    node("oral suspensions", "dosage", needs="dose units", also="liquid oral medicines"),
    node("course of antibiotics", "dosage renal", needs="divided doses", also="antibiotic course"),
    node("event rate", "benefit", also="risk of an event"),
    node("absolute risk reduction", "benefit", needs="event rate", also="ARR, risk difference"),
    node("reading a clinical trial", "benefit", needs="event rate", also="appraising a trial"),
    node("shared decision making", "benefit testing", needs="number needed to treat",
         also="deciding together with the patient"),
    node("serum electrolytes", "acid_base", also="blood electrolytes"),
    node("bicarbonate", "acid_base", needs="serum electrolytes", also="HCO3"),
    node("Winter's formula", "acid_base", needs="metabolic acidosis, arterial blood gas",
         also="expected pCO2"),
    node("arterial blood gas", "acid_base", also="ABG"),
    node("albumin correction", "acid_base", needs="anion gap", also="correction for low albumin"),
    node("mixed acid-base disorders", "acid_base", needs="Winter's formula",
         also="combined acid-base disorders"),
    node("delta ratio", "acid_base", needs="anion gap, albumin correction", also="delta-delta"),
    node("serum creatinine", "renal", also="creatinine in blood"),
    node("ageing kidney", "renal", needs="creatinine clearance", also="renal function in old age"),
    node("volume of distribution", "kinetics", needs="body weight", also="distribution volume"),
    node("drug clearance", "kinetics", needs="half-life of a drug, volume of distribution",
         also="clearance of a drug"),
    node("steady-state concentration", "kinetics", needs="drug clearance", also="steady state"),
)  # fmt: skip

DOMAIN = Domain(
    task="medqa",
    families=(DOSAGE, TESTING, BENEFIT, ACID_BASE, RENAL, KINETICS),
    keywords=KEYWORDS,
    openings=(
        "On the ward round the talk turns to {first}.",
        "A resident prepares a [case|vignette] on {first}.",
    ),
    pair_openings=("A resident prepares a case on {first} and {second}.",),
    asides=(
        "There are no known allergies.",
        "The [family|past] history is unremarkable.",
        "[No other|Apart from this no] medicine is taken.",
        "Vital signs are [recorded|being watched].",
    ),
)
