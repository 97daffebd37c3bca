"""The screens that look at one instruction alone: its faults, and what it takes from a benchmark.

They run as soon as it is written, cheapest first, and see no other unit: whatever says the same fares
alike. So a unit that they turn down need not be remembered by the screens for repeats.
"""

from __future__ import annotations

from dataclasses import dataclass

from ds2.screen.benchmark import BenchmarkScreen
from ds2.screen.checks import fault_of
from ds2.screen.options import shuffle_options
from ds2.screen.verdicts import contaminated, faulty
from signatures.records import Instruction, Rejection


@dataclass(frozen=True, slots=True)
class OwnScreens:
    """What becomes of an instruction before it is compared with others.

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
