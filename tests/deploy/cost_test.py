"""What a job can cost at most."""

from deploy import cost
from deploy.defaults import Defaults, Setting
from deploy.targets.tpu_vm.options import Options


def at_most(prices):
    options = Options(zone="us-west4-a", project="some-project", max_run_hours=10)
    return cost.at_most("v5litepod-4", 3, options, Defaults(prices=prices))


def test_hours_are_those_of_all_machines_and_no_price_is_invented():
    hours, price, _ = at_most({})
    assert hours == "30 hours of v5litepod-4: 3 x --max_run_hours=10"
    assert "not known" in price and '[prices] "v5litepod-4" = PRICE' in price


def test_price_is_the_users_own():
    _, price, _ = at_most({"v5litepod-4": Setting(1234.5, "~/deploy.toml")})
    assert price == "37,035.00 at 1,234.50 an hour, the price in ~/deploy.toml"
