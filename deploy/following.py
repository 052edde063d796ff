"""Follows jobs by their names: finds where a job is, and lists the jobs of all targets.

exit_code = follow(Following("status", "imdb-1f0c"), target=None, given={})
exit_code = show_all(target=None, given={})
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from deploy import records, settings
from deploy.checks import refusal
from deploy.messages import say
from deploy.records import Record
from deploy.targets import target as targets
from deploy.targets.target import Following, Listed
from storage.errors import UserError
from storage.exit_codes import DONE, FAILED

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LATEST_RECORDS = 20  # of jobs that a service no longer lists


class _Place(NamedTuple):
    """Where jobs are."""

    target: str
    flags: tuple[tuple[str, Any], ...]  # those that find them

    @property
    def text(self) -> str:
        return " ".join([self.target, *(str(value) for _, value in self.flags if value)])


def follow(following: Following, target: str | None, given: Mapping[str, Any]) -> int:
    """Does what the verb says with a job. Returns an exit code.

    Where the job is, flags say, else the full name, else the record of its submission, else
    deploy.toml. Raises UserError when none of them does, or for a flag that finds no job.
    """
    name, found, record = following.name, targets.parse_full_name(following.name), None
    if found:
        known, flags, name = found
    elif record := records.find(name):
        known, flags = record.target, record.options
    elif target:
        known, flags = target, {}
    else:
        raise UserError(
            f"{name}: was not submitted from this machine; give --target and the flags that the "
            "submission printed, or the full name that it printed"
        )
    if target not in (None, known):
        known, flags, record = target or known, {}, None
    _check_given(known, following.verb, given)
    flags = {**_place_flags(known, settings.read(known, {}).given), **flags, **given}
    workdir = following.workdir or (record.workdir if record else None)
    (options, *_) = targets.make_options(known, flags)
    return targets.load(known).follow(following._replace(name=name, workdir=workdir), options)


def show_all(target: str | None, given: Mapping[str, Any]) -> int:
    """Prints the jobs at all known places, of one target or of all. Returns an exit code.

    Places are known from flags, from deploy.toml and from the records of submissions.
    """
    code, rows = DONE, []
    recorded = records.every()
    places = dict.fromkeys(_places(target, given, recorded))
    for place in places:
        try:
            rows += [_row(place, job) for job in _jobs(place, recorded)]
        except UserError as error:
            code = FAILED
            say(f"error: {place.text}: {error}")
    if not places:
        raise UserError(
            "list: no place is known; give --target with its region or zone, or write it into "
            "deploy.toml"
        )
    if rows:
        _print_table([("NAME", "WHERE", "STATE", "CREATED"), *rows])
    elif code == DONE:
        say("no jobs")
    return code


def parse_since(text: str) -> datetime | None:
    """Returns the time that --since names, or None for "". Raises UserError for other texts."""
    if not text:
        return None
    try:
        if match := re.fullmatch(r"([0-9]{1,6})([smhd])", text, re.ASCII):
            return datetime.now(timezone.utc) - timedelta(**{_UNITS[match[2]]: int(match[1])})
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        accepted = "30m, 2h or 1d ago, or a time such as 2026-05-01T12:00 (UTC)"
        raise refusal("since", text, accepted) from error
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def _check_given(target: str, verb: str, given: Mapping[str, Any]) -> None:
    """Raises UserError for a flag that doesn't help to find a job."""
    accepted = targets.load(target).located_by
    for flag, value in given.items():
        if flag not in accepted:
            raise UserError(
                f"--{flag}: got {value!r}, but `{verb}` doesn't take it; a job of "
                f"--target={target} is found by {' and '.join(f'--{one}' for one in accepted)}"
            )


def _place_flags(target: str, flags: Mapping[str, Any]) -> dict[str, Any]:
    """Returns those flags that find a job of the target."""
    located_by = targets.load(target).located_by
    return {flag: value for flag, value in flags.items() if flag in located_by}


def _places(
    target: str | None, given: Mapping[str, Any], recorded: Sequence[Record]
) -> Iterator[_Place]:
    for name in [target] if target else targets.NAMES:
        if target:
            _check_given(name, "list", given)
        flags = _place_flags(name, settings.read(name, given).given)
        if not targets.missing_flags(name, flags) and (target or flags):
            for options in targets.make_options(name, flags):
                yield _Place(name, _located(name, options))
        for record in recorded:
            if record.target == name:
                yield _Place(name, tuple(record.options.items()))


def _located(target: str, options: Any) -> tuple[tuple[str, Any], ...]:
    located_by = targets.load(target).located_by
    return tuple((flag, getattr(options, flag)) for flag in located_by if flag != "workdir")


def _jobs(place: _Place, recorded: Sequence[Record]) -> list[Listed]:
    """Returns the jobs that the service lists, and those of the records that it finds by name."""
    (options,) = targets.make_options(place.target, dict(place.flags))
    known = {
        record.name: record.workdir
        for record in recorded[-_LATEST_RECORDS:]
        if (record.target, tuple(record.options.items())) == place
    }
    return targets.load(place.target).jobs(options, known)


def _row(place: _Place, job: Listed) -> tuple[str, ...]:
    created = f"{job.created.astimezone(timezone.utc):%Y-%m-%d %H:%M}" if job.created else "-"
    return job.name, place.text, job.state.described, created


def _print_table(rows: list[tuple[str, ...]]) -> None:
    """Prints rows with aligned columns; the last but one, a state with its reason, may be long."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
