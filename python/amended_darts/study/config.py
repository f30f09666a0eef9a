"""Settings of the stability study."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.errors import InputError
from amended_darts.options import Check, at_least, check_options, option
from amended_darts.study.settings import SETTINGS, Row, Setting

_SHARES: Check = (lambda value: 0 < value <= 1, "a share above 0, at most 1")


@dataclass(frozen=True)
class StudyConfig:
    """Everything the study depends on.

    Raises:
        InputError: on ``resolved()``: a value out of range, or a row that the setting does not have.
    """

    setting: str = option(
        "digits",
        "what is searched: " + "; ".join(f"{name}, {setting.about}" for name, setting in SETTINGS.items()),
        choices=tuple(SETTINGS),
    )
    data: str = option(
        "imagefolder",
        "data set of the settings on CIFAR-10: imagefolder or cifar10",
        choices=("imagefolder", "cifar10"),
    )
    root: str | None = option(None, "folder of the data set; digits needs none", metavar="FOLDER")
    rows: str | None = option(None, "rows to run, with semicolons between", metavar="ROWS", unset="all")
    seeds: int = option(4, "seeds of the main rows, from 0", "seeds", check=at_least(1, "seed"))
    epochs: int | None = option(
        None, "epochs of every row", "epochs", unset="the setting's", check=at_least(2, "epochs")
    )
    search: bool = option(True, "run the searches that are not done; without, results are of those that are")
    judge: bool = option(True, "train the architectures of the main rows from scratch")
    processes: int = option(1, "searches at a time, each with one thread", "processes", check=at_least(1, "process"))
    out: str = option("runs/study", "folder of the runs and of study.json, study.md and study.png", metavar="FOLDER")

    def resolved(self) -> tuple[Setting, dict[str, Row]]:
        """The setting and its chosen rows."""
        check_options(self)
        setting = SETTINGS[self.setting]
        if setting.search.get("data") is None and self.root is None:
            raise InputError(f"--root: expected the folder of CIFAR-10 for the setting {self.setting}, got nothing")
        if self.rows is None:
            return setting, setting.rows
        names = [name.strip() for name in self.rows.split(";")]
        for name in names:
            if name not in setting.rows:
                raise InputError(f"--rows: expected some of {'; '.join(setting.rows)}, got '{name}'")
        return setting, {name: setting.rows[name] for name in names}
