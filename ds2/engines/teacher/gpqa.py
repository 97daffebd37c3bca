"""Graduate science: the wordings of six families with four options each, and their keywords."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

from ds2.engines.teacher import science
from ds2.engines.teacher.frame import Domain, Family, Params, node
from ds2.engines.teacher.slots import Decimal, Whole, Word
from ds2.engines.teacher.wording import asks_for

RELATIVITY = Family(
    name="relativity",
    difficulty=0.55,
    slots={"particle": Word(tuple(science.PARTICLES)), "kinetic": Whole(40, 3000, 20)},
    scenes=(
        "A cyclotron brings a {particle} to a kinetic energy of {kinetic} MeV.",
        (
            "In a beam line every {particle} has been [accelerated|brought] from rest through a "
            "voltage that gives it {kinetic} MeV."
        ),
        "A detector registers a {particle} whose kinetic energy is {kinetic} MeV in the laboratory.",
    ),
    asks=asks_for(
        "its momentum in MeV/c, to one decimal",
        at={
            "remember": "its total energy in MeV, to one decimal",
            "understand": "its Lorentz factor, to three decimals",
            "analyze": "its speed as a fraction of the speed of light, to four decimals",
        },
        create=(
            (
                "Design a bending magnet for this beam: which momentum in MeV/c, to one decimal, "
                "must it be laid out for?"
            ),
            (
                "Combine the conservation laws into one formula for this beam and compute the "
                "momentum in MeV/c, to one decimal."
            ),
        ),
    ),
    solve=science.relativity,
)


def _balanced(p: Params) -> bool:
    one, two = science.extents(p)
    return Fraction(1, 3) < one / two < 3 and abs(one / two - 1) > Fraction(1, 20)


STOICHIOMETRY = Family(
    name="stoichiometry",
    difficulty=0.5,
    slots={
        "reaction": Word(tuple(science.REACTIONS)),
        "first": Whole(10, 400, 2),
        "second": Whole(10, 400, 2),
        "percent": Whole(55, 95, 5),
    },
    scenes=(
        (
            "Consider {reaction}. A reactor is charged with {first} g of the first reactant and "
            "{second} g of the second; of the product that could form, {percent}% is isolated."
        ),
        (
            "For the synthesis {reaction} a chemist weighs in {first} g of the reactant written "
            "first and {second} g of the other, and works at a yield of {percent}%."
        ),
        (
            "A batch follows {reaction}: {first} g of reactant one meet {second} g of reactant "
            "two, and the yield is {percent}% of theory."
        ),
    ),
    asks=asks_for(
        "the mass of product obtained in grams, to one decimal",
        at={
            "remember": "the amount of the first reactant in mol, to three decimals",
            "understand": "the largest possible extent of reaction in mol, to three decimals",
            "analyze": "the mass in grams, to one decimal, of the reactant in excess that is left when "
            "the other is used up completely",
        },
    ),
    solve=science.stoichiometry,
    fit=_balanced,
)

_GENOTYPES = tuple(
    "".join(parts) + "Cc" for parts in product(("AA", "Aa", "aa"), ("BB", "Bb", "bb"))
)


def _mendelian(p: Params) -> bool:
    brood = science.cross(p.mother, p.father)
    return 0 < brood.purple < 1 and brood.like_mother > 0 and "Aa" in p.mother + p.father


INHERITANCE = Family(
    name="inheritance",
    difficulty=0.6,
    slots={"mother": Word(_GENOTYPES), "father": Word(_GENOTYPES)},
    scenes=(
        (
            "In a plant three unlinked genes assort independently. Flowers are purple if at least "
            "one A and at least one B are present, and seedlings that are cc die at once. The seed "
            "parent is {mother}, the pollen parent {father}."
        ),
        (
            "Purple pigment needs a dominant allele A and a dominant allele B; the genotype cc is "
            "lethal before flowering. Genes A, B and C lie on different chromosomes. A plant "
            "{mother} is [pollinated|crossed] with pollen of a plant {father}."
        ),
        (
            "A breeder crosses {mother} (mother) with {father} (father). A and B, both dominant, "
            "must act together to colour the flowers purple; cc kills the seedling; there is no "
            "linkage."
        ),
    ),
    asks=asks_for(
        "the share of purple plants among all that survive",
        at={
            "remember": "the number of genetically different gametes that the plant {mother} can form",
            "understand": "the chance that a zygote has the genotype {mother}",
            "analyze": "the share of survivors that are purple and carry the lethal allele c",
        },
        create=(
            (
                "Construct the table of all unions of gametes, strike out what dies, and give the "
                "share of purple plants among the rest."
            ),
            (
                "Devise a branching diagram for this cross and read from it the share of purple "
                "plants among the survivors."
            ),
        ),
    ),
    solve=science.inheritance,
    fit=_mendelian,
)


def _countable(p: Params) -> bool:
    return Fraction(2, 5) <= p.hours / science.ISOTOPES[p.isotope] <= 4


DECAY = Family(
    name="decay",
    difficulty=0.4,
    slots={
        "isotope": Word(tuple(science.ISOTOPES)),
        "activity": Whole(100, 900, 20),
        "hours": Whole(1, 48),
    },
    scenes=(
        "A vial of {isotope} is calibrated at {activity} MBq; {hours} h pass.",
        (
            "The activity of a sample of {isotope} matters to a hospital. It is {activity} MBq on "
            "the reference date, and the time considered is {hours} h."
        ),
        (
            "A physicist handles {isotope} with a reference activity of {activity} MBq and plans "
            "for a delay of {hours} h."
        ),
    ),
    asks=asks_for(
        "the activity in MBq when the time is over, to one decimal",
        at={
            "remember": "the decay constant per hour, to four decimals",
            "understand": "the share of nuclei left when the time is over, to one decimal",
            "analyze": "the number of radioactive nuclei at the reference time in units of 10^12, to two "
            "decimals",
        },
        create=(
            (
                "Plan a delivery: which activity in MBq, to one decimal, must be prepared so that "
                "the reference activity is what remains when the time is over?"
            ),
            (
                "Design the order so that exactly the reference activity is left after the delay; "
                "how many MBq, to one decimal, must be shipped?"
            ),
        ),
    ),
    solve=science.decay,
    fit=_countable,
)

BUFFER = Family(
    name="buffer",
    difficulty=0.5,
    slots={
        "acid": Word(tuple(science.ACIDS)),
        "weak": Decimal(0, 1, places=2, step=2),
        "base": Decimal(0, 1, places=2, step=2),
        "added": Whole(10, 200, 5),
    },
    scenes=(
        (
            "One litre of a buffer holds {weak} mol of {acid} and {base} mol of its conjugate "
            "base. Into it go {added} mmol of HCl gas, without a change in volume."
        ),
        (
            "A biochemist makes 1.00 L of buffer from {acid}: {weak} mol of the acid and {base} "
            "mol of its salt. Later {added} mmol of strong acid are [added|stirred in]; the volume "
            "stays the same."
        ),
        (
            "To a litre of solution with {base} mol of the conjugate base and {weak} mol of "
            "{acid}, {added} mmol of hydrochloric acid are given as a concentrate of negligible "
            "volume."
        ),
    ),
    asks=asks_for(
        "the pH after the strong acid has reacted, to two decimals",
        at={
            "remember": "the pH before any strong acid is there, to two decimals",
            "understand": "the ratio of conjugate base to acid after the addition, to two decimals",
            "analyze": "the change in pH that the strong acid brings about, to two decimals",
        },
    ),
    solve=science.buffer,
    fit=lambda p: (
        p.weak >= Fraction(1, 10)
        and p.weak != p.base
        and 50 * p.base <= p.added <= 600 * p.base
        and p.added < 900 * p.weak
    ),
)

LEVELS = Family(
    name="levels",
    difficulty=0.45,
    slots={"ion": Word(tuple(science.IONS)), "low": Whole(1, 4), "high": Whole(3, 8)},
    scenes=(
        (
            "The electron of {ion} is in the level n = {high} and may end in n = {low}. Take "
            "13.606 eV for the Rydberg energy and 1239.84 eV nm for hc; fine structure is "
            "neglected."
        ),
        (
            "Neglecting fine structure, look at {ion} whose electron has been excited to n = "
            "{high}; the lower level of interest is n = {low} (Rydberg energy 13.606 eV, hc = "
            "1239.84 eV nm)."
        ),
        (
            "A plasma contains {ion} with its electron at n = {high}. Bohr's levels hold with "
            "13.606 eV as Rydberg energy; hc is 1239.84 eV nm, and the lower level in question is "
            "n = {low}."
        ),
    ),
    asks=asks_for(
        "the wavelength in nm of the photon from the direct transition, to two decimals",
        at={
            "remember": "the energy of the lower level in eV, to two decimals",
            "understand": "the energy in eV that frees the electron from the upper level, to two decimals",
            "analyze": "the number of different spectral lines that cascades of many such electrons "
            "between these two levels, inclusive, can show",
        },
    ),
    solve=science.levels,
    fit=lambda p: p.high >= p.low + 2,
)

KEYWORDS = (
    node("relativistic kinematics", "relativity", core=True, needs="rest energy, Lorentz factor",
         also="kinematics at high energy"),
    node("limiting reagent", "stoichiometry", core=True, needs="molar mass, balanced equations",
         also="limiting reactant"),
    node("Mendelian inheritance", "inheritance", core=True, needs="alleles, gametes",
         also="Mendelian genetics"),
    node("radioactive decay", "decay", core=True, needs="half-life", also="nuclear decay"),
    node("buffer solutions", "buffer", core=True, needs="acid dissociation constant, pH",
         also="buffers"),
    node("energy levels", "levels", core=True, needs="principal quantum number",
         also="quantised energies"),
    node("epistasis", "inheritance", core=True, needs="dominance", also="gene interaction"),
    node("reaction yield", "stoichiometry", core=True, needs="limiting reagent",
         also="percentage yield"),
    node("relativistic momentum", "relativity", core=True, needs="total energy",
         also="momentum at high speed"),
    node("atomic spectra", "levels", core=True, needs="photon energy", also="line spectra"),
    node("Henderson-Hasselbalch equation", "buffer", core=True, needs="conjugate acid-base pairs",
         also="buffer equation"),
    node("half-life", "decay", core=True, also="half life, halving time"),
    node("rest energy", "relativity", also="rest mass energy"),
    node("Lorentz factor", "relativity", needs="rest energy", also="gamma factor"),
    node("total energy", "relativity", needs="rest energy, kinetic energy",
         also="relativistic energy"),
    node("kinetic energy", "relativity", also="energy of motion"),
    node("energy-momentum relation", "relativity", needs="relativistic momentum",
         also="mass-shell relation"),
    node("particle accelerators", "relativity", needs="kinetic energy", also="accelerators"),
    node("molar mass", "stoichiometry", also="mass of one mole"),
    node("balanced equations", "stoichiometry", also="balancing reactions"),
    node("stoichiometric coefficients", "stoichiometry", needs="balanced equations",
         also="reaction coefficients"),
    node("extent of reaction", "stoichiometry", needs="stoichiometric coefficients, molar mass",
         also="reaction progress"),
    node("excess reactant", "stoichiometry", needs="limiting reagent", also="reagent in excess"),
    node("alleles", "inheritance", also="gene variants"),
    node("gametes", "inheritance", needs="alleles", also="germ cells"),
    node("dominance", "inheritance", needs="alleles", also="dominant and recessive traits"),
    node("independent assortment", "inheritance", needs="gametes", also="unlinked genes"),
    node("lethal alleles", "inheritance", needs="Mendelian inheritance", also="lethal genes"),
    node("Punnett squares", "inheritance", needs="gametes", also="crossing tables"),
    node("decay constant", "decay", needs="half-life", also="rate of decay"),
    node("activity of a source", "decay", needs="decay constant", also="radioactivity in becquerel"),
    node("exponential decay law", "decay", needs="decay constant", also="law of decay"),
    node("pH", "buffer", also="acidity of a solution"),
    node("acid dissociation constant", "buffer", needs="weak acids", also="pKa"),
    node("weak acids", "buffer", needs="pH", also="weak electrolytes"),
    node("conjugate acid-base pairs", "buffer", needs="weak acids", also="conjugate pairs"),
    node("buffer capacity", "buffer", needs="buffer solutions", also="buffering power"),
    node("principal quantum number", "levels", also="main quantum number"),
    node("photon energy", "levels", needs="energy levels", also="energy of light quanta"),
    node("hydrogen-like ions", "levels", needs="energy levels", also="one-electron ions"),
)  # fmt: skip

DOMAIN = Domain(
    task="gpqa",
    families=(RELATIVITY, STOICHIOMETRY, INHERITANCE, DECAY, BUFFER, LEVELS),
    keywords=KEYWORDS,
    openings=(
        "A graduate seminar [discusses|takes up] {first}.",
        "In a qualifying examination [on|about] {first} this comes up.",
    ),
    pair_openings=("A graduate seminar links {first} with {second}.",),
    asides=(
        "The apparatus has been [calibrated|checked] beforehand.",
        "[Ideal|Standard] conditions may be assumed where nothing else is said.",
        "The room is at 298 K.",
        "A second group has [repeated|confirmed] the measurement.",
    ),
)
