"""The screens that look at one instruction alone: its faults, and what it takes from a benchmark.

They run as soon as it is written, cheapest first, and see no other unit: whatever says the same fares
alike. So a unit that they turn down need not be remembered by the screens for repeats. What only the
answer shows is looked at after the vote, and such a unit is remembered.
"""

from __future__ import annotations

from dataclasses import dataclass

from ds2.screen.benchmark import BenchmarkScreen
from ds2.screen.checks import fault_of, told_fault
from ds2.screen.options import names_option, shuffle_options
from ds2.screen.verdicts import contaminated, faulty, given_away, no_option
from signatures.records import Instruction, Rejection, Row


@dataclass(frozen=True, slots=True)
class OwnScreens:
    """What becomes of an instruction before it is compared with others, and of its row.

    Args:
        seed: the run's; it decides the order of options.
        language: the task's.
        shuffle: options are shuffled.
        checks: the instruction checks run.
        benchmarks: what is to be avoided; None for nothing.
    """

    seed: int = 0
    language: str = "English"
    shuffle: bool = True
    checks: bool = True
    benchmarks: BenchmarkScreen | None = None

    def take(self, instruction: Instruction, place: int) -> Instruction | Rejection:
        """Return the instruction of a unit as it goes on, or why it does not."""
        if self.shuffle:
            instruction = shuffle_options(instruction, self.seed, place)
        fault = fault_of(instruction, self.language) if self.checks else None
        if fault is not None:
            return faulty(instruction, fault)
        hit = self.benchmarks.match(instruction) if self.benchmarks is not None else None
        return instruction if hit is None else contaminated(instruction, hit)

    def conclude(self, row: Row) -> Rejection | None:
        """Return why a row is none now that its answer is known; None where it is one."""
        options = row.instruction.options
        if options and not names_option(row.answer, options):
            return no_option(row)
        fault = told_fault(row.instruction, row.answer) if self.checks else None
        return None if fault is None else given_away(row, fault)
