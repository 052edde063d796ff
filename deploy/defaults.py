"""The values of a submission's flags, with where each is from, and the user's prices.

defaults = Defaults({"region": Setting("us-central1", "the command line")})
defaults.given          # {"region": "us-central1"}
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from storage.errors import UserError

COMMAND_LINE = "the command line"


class Setting(NamedTuple):
    """A value and where it is from, such as "the command line" or a file."""

    value: Any
    origin: str


@dataclasses.dataclass(frozen=True)
class Defaults:
    """The flags of one target that the command line or a file sets."""

    flags: dict[str, Setting] = dataclasses.field(default_factory=dict)
    prices: Mapping[str, Setting] = dataclasses.field(default_factory=dict)  # of an hour
    bucket: Setting | None = None  # gs://BUCKET

    @property
    def given(self) -> dict[str, Any]:
        """The values of the flags."""
        return {flag: setting.value for flag, setting in self.flags.items()}

    def shown(self, options: Any) -> list[str]:
        """Returns a line for each flag of a target's options: its value, and where that is from."""
        lines = []
        for field in sorted(dataclasses.fields(options), key=lambda field: field.name):
            value = getattr(options, field.name)
            derived = "default" if value == field.default else "derived from the others"
            origin = self.flags[field.name].origin if field.name in self.flags else derived
            lines.append(f"--{field.name}={value!r}  ({origin})")
        return lines

    def explained(self, error: UserError) -> UserError:
        """Returns the error with where the value is from, unless from the command line."""
        setting = self.flags.get(str(error).partition(":")[0].removeprefix("--"))
        if setting is None or setting.origin == COMMAND_LINE:
            return error
        return UserError(f"{error} (this value is from {setting.origin})")
