"""What a job can cost at most, from its machines, its time limit and the user's own prices.

lines = at_most("g2-standard-12", 3, options, defaults)     # ["72 hours of g2-standard-12 ..."]

No price is known here: prices change, and differ by region and contract.
"""

from typing import Any

from deploy.defaults import Defaults


def at_most(machine: str, count: int, options: Any, defaults: Defaults) -> list[str]:
    """Returns lines that say how many machine hours a job can use, and their price if known.

    `options` has `max_run_hours`, and `keep_on_failure` where machines can be kept; `defaults` has
    the prices that the user gave per hour.
    """
    limits = {flag: getattr(options, flag, 0) for flag in ("max_run_hours", "keep_on_failure")}
    hours = count * sum(limits.values())
    spelled = " + ".join(f"--{flag}={value}" for flag, value in limits.items() if value)
    lines = [f"{hours:,} hours of {machine}: {count} x {spelled}"]
    if price := defaults.prices.get(machine):
        lines.append(
            f"{hours * price.value:,.2f} at {price.value:,.2f} an hour, the price in {price.origin}"
        )
    else:
        lines.append(
            f"the price of an hour is not known; write it into deploy.toml as [prices] "
            f'"{machine}" = PRICE'
        )
    return [*lines, "a job that is submitted again, or started again by the service, begins anew"]
